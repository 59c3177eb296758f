// Writes files in the current folder with and without the calls that make them durable, and dies.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int make(const char *name) { return open(name, O_CREAT | O_RDWR, 0600); }

static void say(int fd, const char *text) {
    if (write(fd, text, strlen(text)) < 0) perror("write");
}

static void sync_folder(void) {
    int folder = open(".", O_RDONLY | O_DIRECTORY);
    fsync(folder);
    close(folder);
}

int main(void) {
    int fd = make("synced");
    say(fd, "kept");
    fsync(fd);

    fd = make("half-synced");
    say(fd, "kept");
    fdatasync(fd);
    say(fd, " and lost");

    fd = make("overwritten");
    say(fd, "kept");
    fsync(fd);
    if (pwrite(fd, "LOST", 4, 0) < 0) perror("pwrite");

    fd = make("a");
    say(fd, "kept");
    fsync(fd);
    rename("a", "renamed");

    fd = make("removed");
    say(fd, "gone");
    fsync(fd);
    unlink("removed");

    mkdir("in", 0700);
    mkdir("in/a", 0700);
    fd = make("in/a/folder");
    say(fd, "kept");
    fsync(fd);

    fd = make("before-rename");
    say(fd, "kept");
    fsync(fd);
    fd = make("removed-without-folder");
    say(fd, "kept");
    fsync(fd);

    sync_folder();
    // What follows no folder was synced for.
    rename("before-rename", "renamed-without-folder");
    unlink("removed-without-folder");
    say(make("not-synced"), "lost");
    kill(getpid(), SIGKILL);
    return 0;
}

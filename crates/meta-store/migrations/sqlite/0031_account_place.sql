-- why: where an account that moves is: 1 frozen, 2 gone, 3 arriving, 4 arrived; null: here
ALTER TABLE account ADD COLUMN place integer

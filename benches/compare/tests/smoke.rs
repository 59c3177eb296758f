//! The comparison itself works: every row on Buzon and Dovecot, a few hundred operations of each. Says nothing about speed.

use std::process::Command;

use serde_json::Value;

fn compare(arguments: &[&str]) -> Value {
    let dir = tempfile::tempdir().expect("a folder");
    let json = dir.path().join("compare.json");
    let output = Command::new(env!("CARGO_BIN_EXE_buzon-compare"))
        .args(["--smoke", "--servers", "dovecot-sdbox,standalone", "--json"])
        .arg(&json)
        .args(arguments)
        .output()
        .expect("run it");
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{error}");
    assert!(std::fs::read_to_string(json.with_extension("svg")).expect("a picture").ends_with("</svg>\n"));
    serde_json::from_slice(&std::fs::read(json).expect("results")).expect("JSON")
}

fn median(row: &Value, server: usize, name: &str) -> f64 {
    row["servers"][server]["median"][name].as_f64().unwrap_or_else(|| panic!("no {name} in {row}"))
}

#[test]
fn every_row_is_measured_on_both_and_both_answer_alike() {
    let report = compare(&[]);
    let rows = report["rows"].as_array().expect("rows");
    assert!(rows.len() >= 40, "{} rows", rows.len());
    for row in rows {
        let name = row["row"]["name"].as_str().expect("a name");
        for server in 0..2 {
            assert!(median(row, server, "rate") > 0.0, "{name}");
            assert!(median(row, server, "p99_us") >= median(row, server, "p50_us"), "{name}");
        }
        let answer = |server: usize| &row["servers"][server]["rounds"][0]["answer"];
        assert_eq!(answer(0), answer(1), "{name}");
        // One connection shares its fsyncs with nobody: what is durable waits for the disk at least once.
        if name.ends_with("-alone") && name.starts_with("append") {
            assert!(median(row, 0, "syncs") >= 1.0, "{name}: Dovecot is not durable");
            assert!(median(row, 1, "syncs") >= 1.0, "{name}: Buzon is not durable");
        }
    }
    assert_eq!(report["complaints"], Value::Array(Vec::new()));
}

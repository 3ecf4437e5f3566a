//! `fs_read`.

use serde_json::json;

use crate::support::{keeping, stages};

#[tokio::test]
async fn a_file_is_read_whole_or_by_the_page() {
    for stage in stages(&[("dir/f.txt", "one\ntwo\r\nthree\nfour"), ("empty", "")]).await {
        let whole = json!({
            "path": "dir/f.txt", "content": "one\ntwo\r\nthree\nfour",
            "offset": 1, "lines": 4, "totalLines": 4, "truncated": false,
        });
        assert_eq!(stage.ok("fs_read", json!({"path": "dir/f.txt"})).await, whole);
        let page = json!({
            "path": "dir/f.txt", "content": "two\r\nthree\n",
            "offset": 2, "lines": 2, "totalLines": 4, "truncated": true,
        });
        assert_eq!(stage.ok("fs_read", json!({"path": "dir/f.txt", "offset": 2, "limit": 2})).await, page);
        let nothing = json!({
            "path": "empty", "content": "",
            "offset": 1, "lines": 0, "totalLines": 0, "truncated": false,
        });
        assert_eq!(stage.ok("fs_read", json!({"path": "empty"})).await, nothing);
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_told_with_what_to_do() {
    let big = "x".repeat(10 * 1024 * 1024 + 1);
    for stage in stages(&[("bin", "a\0b"), ("big", &big), ("short", "1\n2\n")]).await {
        let cases = [
            (
                json!({"path": "none"}),
                "not_found",
                "none does not exist\nlook for it with fs_glob; paths are relative to the work directory",
            ),
            (
                json!({"path": "bin"}),
                "binary",
                "bin is a binary file\nonly text files can be read; look for a text form of it",
            ),
            (
                json!({"path": "big"}),
                "too_large",
                "big has 10485761 bytes; at most 10485760 are read\n\
                 search in it with fs_grep, or work with smaller files",
            ),
            (
                json!({"path": "short", "offset": 3}),
                "beyond_end",
                "short has 2 lines, there is no line 3\nuse an offset within the file",
            ),
            (
                json!({"path": "../x"}),
                "outside",
                "../x is outside the work directory\n\
                 use a path relative to the work directory, without leading / or ~",
            ),
        ];
        for (input, code, told) in cases {
            assert_eq!(stage.refused("fs_read", input).await, (code.into(), told.into()), "{}", stage.name);
        }
    }
}

#[tokio::test]
async fn bytes_that_are_not_utf8_are_shown_as_such() {
    for stage in stages(&[]).await {
        stage.change("latin1", b"caf\xe9\n").await;
        let read = stage.ok("fs_read", json!({"path": "latin1"})).await;
        assert_eq!(read["content"], "caf\u{fffd}\n");
    }
}

#[tokio::test]
async fn wrong_arguments_are_refused_before_anything_runs() {
    for stage in stages(&[]).await {
        for input in [json!({}), json!({"path": 1}), json!({"path": "f", "line": 3}), json!("f")] {
            let (code, told) = stage.refused("fs_read", input).await;
            assert_eq!(code, "invalid_arguments");
            assert!(told.starts_with("the arguments of fs_read are wrong: "), "{told}");
        }
    }
}

/// Whatever a tool gave: the model pages through all of it, by lines.
#[tokio::test]
async fn g10_a_result_that_was_cut_is_read_in_parts() {
    let lines: String = (0..30_000).map(|n| format!("line {n}\n")).collect();
    let whole = json!({ "code": 0, "stdout": lines });
    let stage = keeping(whole.to_string());
    let (mut read, mut offset) = (String::new(), 1);
    loop {
        let page = stage.ok("fs_read", json!({ "path": "@result/call_1_0", "offset": offset })).await;
        assert!(page.to_string().len() < 64 * 1024, "a page is not cut again");
        read.push_str(page["content"].as_str().unwrap());
        offset += page["lines"].as_u64().unwrap();
        if page["truncated"] == json!(false) {
            break;
        }
    }
    assert!(read.contains(&lines), "every line is there, in order");
    let hits = stage.ok("fs_grep", json!({ "path": "@result/call_1_0", "pattern": "line 29999" })).await;
    let hit = &hits["matches"][0];
    assert_eq!((&hit["path"], &hit["text"]), (&json!("@result/call_1_0"), &json!("line 29999")));
    let at = json!({ "path": "@result/call_1_0", "offset": hit["line"], "limit": 1 });
    assert_eq!(stage.ok("fs_read", at).await["content"], json!("line 29999\n"), "both count the same lines");
}

#[tokio::test]
async fn a_result_that_is_not_kept_is_told_with_what_to_do() {
    let stage = keeping("x");
    for path in ["@result/call_9_9", "@result/", "@result/../a"] {
        let (code, said) = stage.refused("fs_read", json!({ "path": path })).await;
        assert_eq!(code, "not_found");
        assert!(said.ends_with(
            "is kept\nuse the path that the cut result names; if it is gone, call the tool again"
        ));
    }
    let (code, said) = stage.refused("fs_grep", json!({ "path": "@result/call_0_0", "pattern": "x" })).await;
    assert_eq!(code, "io");
    assert!(said.contains("the wire is cut"), "{said}");
}

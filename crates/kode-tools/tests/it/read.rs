//! `fs_read`.

use serde_json::json;

use crate::support::stages;

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

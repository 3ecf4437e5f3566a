//! `fs_grep`.

use serde_json::{Value, json};

use crate::support::stages;

fn hit(path: &str, line: u64, column: u64, text: &str) -> Value {
    json!({"path": path, "line": line, "column": column, "text": text})
}

fn all(hits: &[Value]) -> Value {
    json!({"matches": hits, "truncated": false, "skippedFiles": 0})
}

#[tokio::test]
async fn every_match_of_every_line_is_found_with_its_column_in_characters() {
    for stage in stages(&[("a.txt", "ü foo foo\r\nbar\n"), ("sub/b.txt", "bar\nfoo")]).await {
        let line = "ü foo foo";
        let wanted = [hit("a.txt", 1, 3, line), hit("a.txt", 1, 7, line), hit("sub/b.txt", 2, 1, "foo")];
        assert_eq!(stage.ok("fs_grep", json!({"pattern": "foo", "path": "."})).await, all(&wanted));
        let one = stage.ok("fs_grep", json!({"pattern": "foo", "path": "sub/b.txt"})).await;
        assert_eq!(one, all(&wanted[2..]));
        assert_eq!(stage.ok("fs_grep", json!({"pattern": "foo", "path": "sub"})).await, all(&wanted[2..]));
    }
}

#[tokio::test]
async fn a_pattern_is_literal_unless_regex_and_exact_in_case_unless_told() {
    for stage in stages(&[("f", "a.c\nabc\nABC\n\nx\n")]).await {
        let search = async |input: Value| stage.ok("fs_grep", input).await["matches"].clone();
        assert_eq!(search(json!({"pattern": "a.c", "path": "f"})).await, json!([hit("f", 1, 1, "a.c")]));
        let regex = json!({"pattern": "a.c", "path": "f", "regex": true});
        assert_eq!(search(regex).await, json!([hit("f", 1, 1, "a.c"), hit("f", 2, 1, "abc")]));
        let folded = json!({"pattern": "ABC", "path": "f", "case_sensitive": false});
        assert_eq!(search(folded).await, json!([hit("f", 2, 1, "abc"), hit("f", 3, 1, "ABC")]));
        let blank = json!({"pattern": "^$", "path": "f", "regex": true});
        assert_eq!(search(blank).await, json!([hit("f", 4, 1, "")]));
        let star = json!({"pattern": "b*", "path": "f", "regex": true});
        assert_eq!(search(star).await.as_array().unwrap().len(), 6, "at most one empty match in a line");
    }
}

#[tokio::test]
async fn what_cannot_be_searched_is_counted_in_a_directory_and_told_when_it_was_named() {
    for stage in stages(&[("a", "foo"), ("b", "foo\0"), (".hidden", "foo")]).await {
        let wanted = json!({"matches": [hit("a", 1, 1, "foo")], "truncated": false, "skippedFiles": 1});
        assert_eq!(stage.ok("fs_grep", json!({"pattern": "foo", "path": "."})).await, wanted);
        assert_eq!(stage.refused("fs_grep", json!({"pattern": "foo", "path": "b"})).await.0, "binary");
        assert_eq!(stage.refused("fs_grep", json!({"pattern": "foo", "path": "c"})).await.0, "not_found");
        let hidden = stage.ok("fs_grep", json!({"pattern": "foo", "path": ".hidden"})).await;
        assert_eq!(hidden, all(&[hit(".hidden", 1, 1, "foo")]));
    }
}

#[tokio::test]
async fn max_results_cuts_and_says_so_only_where_there_was_more() {
    for stage in stages(&[("a", "x x\n"), ("b", "x\n")]).await {
        let search = async |max: u32| {
            let result = stage.ok("fs_grep", json!({"pattern": "x", "path": ".", "max_results": max})).await;
            (result["matches"].as_array().unwrap().len(), result["truncated"] == json!(true))
        };
        assert_eq!((search(1).await, search(2).await, search(3).await), ((1, true), (2, true), (3, false)));
    }
}

#[tokio::test]
async fn a_long_line_is_shown_around_its_matches() {
    let line = format!("{}needle{}needle\n", "ä".repeat(1_000), "b".repeat(2_000));
    for stage in stages(&[("min.js", &line)]).await {
        let result = stage.ok("fs_grep", json!({"pattern": "needle", "path": "."})).await;
        let texts: Vec<&str> =
            result["matches"].as_array().unwrap().iter().map(|hit| hit["text"].as_str().unwrap()).collect();
        assert_eq!(texts[0], format!("…{}needle{}…", "ä".repeat(50), "b".repeat(294)));
        assert_eq!(texts[1], format!("…{}needle", "b".repeat(100)));
        assert_eq!([&result["matches"][0]["column"], &result["matches"][1]["column"]], [1_001, 3_007]);
    }
}

#[tokio::test]
async fn a_pattern_that_cannot_be_is_told_with_what_to_do() {
    for stage in stages(&[("f", "x")]).await {
        let literal = json!({"pattern": "(", "path": "f"});
        assert_eq!(stage.ok("fs_grep", literal).await, all(&[]));
        for (pattern, regex) in
            [("", false), ("a\nb", false), ("(", true), ("a\\nb", true), ("(?:\\w{900}){900}", true)]
        {
            let input = json!({"pattern": pattern, "path": "f", "regex": regex});
            assert_eq!(stage.refused("fs_grep", input).await.0, "bad_pattern", "{pattern}");
        }
    }
}

#[tokio::test]
async fn g10_a_pattern_that_makes_backtracking_explode_takes_linear_time() {
    let text = "a".repeat(200_000);
    for stage in stages(&[("f", &text)]).await {
        let input = json!({"pattern": "(a|a)*(a*)*b", "path": "f", "regex": true});
        assert_eq!(stage.ok("fs_grep", input).await, all(&[]));
    }
}

//! `docs/conformance.md` names the test that proves each of its claims: those tests exist.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

const PAGE: &str = "docs/conformance.md";
const VERDICTS: [&str; 4] = ["same", "better", "not offered", "not yet"];

/// A row of one of the page's tables.
#[derive(Debug)]
struct Row {
    line: usize,
    here: String,
    tests: String,
}

/// A test as the page names it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Test {
    /// `file::function`
    Rust { file: PathBuf, function: String },
    /// `interop/file "title"`
    Script { file: PathBuf, title: String },
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The rows of all tables whose columns are: what, here, test.
fn rows(page: &str, faults: &mut Vec<String>) -> Vec<Row> {
    let mut rows = Vec::new();
    for (number, text) in page.lines().enumerate() {
        let line = number + 1;
        let Some(cells) = text.strip_prefix('|') else { continue };
        let Some(cells) = cells.strip_suffix('|') else {
            faults.push(format!("{PAGE}:{line}: the row does not end with `|`"));
            continue;
        };
        let cells: Vec<_> = cells.split('|').map(str::trim).collect();
        let [_, here, tests] = cells[..] else {
            faults.push(format!("{PAGE}:{line}: {} columns instead of 3", cells.len()));
            continue;
        };
        if here != "here" && !here.starts_with("---") {
            let (here, tests) = (here.to_owned(), tests.to_owned());
            rows.push(Row { line, here, tests });
        }
    }
    rows
}

fn verdict(here: &str) -> Option<&'static str> {
    VERDICTS.into_iter().find(|verdict| {
        here.strip_prefix(verdict)
            .is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    })
}

/// The tests that a cell names: code, with commas in between.
fn named(cell: &str) -> Result<Vec<Test>, String> {
    let mut tests = Vec::new();
    let mut parts = cell.split('`');
    let mut between = parts.next().unwrap_or_default();
    while let Some(code) = parts.next() {
        let expected = if tests.is_empty() { "" } else { "," };
        if between.trim() != expected {
            return Err(format!(
                "`{between}` before `{code}`: tests are code, with commas in between"
            ));
        }
        between = parts.next().ok_or("a backtick is missing")?;
        let test = parse(code)?;
        if tests.contains(&test) {
            return Err(format!("`{code}` is named twice in one row"));
        }
        tests.push(test);
    }
    if between.trim().is_empty() {
        Ok(tests)
    } else {
        Err(format!("`{between}` is no code"))
    }
}

fn parse(code: &str) -> Result<Test, String> {
    let tests = root().join("tests");
    if let Some((file, title)) = code.strip_suffix('"').and_then(|code| code.split_once(" \"")) {
        let title = title.to_owned();
        let is_script = file.starts_with("interop/") && file.ends_with(".mjs") && !title.is_empty();
        let file = tests.join(file);
        return is_script
            .then_some(Test::Script { file, title })
            .ok_or_else(|| format!("`{code}` is not of the form `interop/file.mjs \"title\"`"));
    }
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let malformed =
        || format!("`{code}` is neither `file::function`, `stacks/file::function` nor `interop/file.mjs \"title\"`");
    let (file, function) = code.split_once("::").ok_or_else(malformed)?;
    let (folder, file) = match file.strip_prefix("stacks/") {
        Some(file) => (tests.join("stacks/tests"), file),
        None => (tests, file),
    };
    if !is_name(file) || !is_name(function) {
        return Err(malformed());
    }
    let (file, function) = (folder.join(format!("{file}.rs")), function.to_owned());
    Ok(Test::Rust { file, function })
}

/// The functions of a Rust source that run as tests.
fn functions(source: &str) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    let (mut is_test, mut is_ignored) = (false, false);
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[") {
            is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
            is_ignored |= line.starts_with("#[ignore");
            continue;
        }
        if line.is_empty() || line.starts_with("//") {
            continue;
        }
        let signature = line.strip_prefix("async ").unwrap_or(line);
        if let Some((name, _)) = signature.strip_prefix("fn ").and_then(|rest| rest.split_once('('))
            && is_test
            && !is_ignored
        {
            tests.insert(name.to_owned());
        }
        (is_test, is_ignored) = (false, false);
    }
    tests
}

/// Whether a script calls something with this title first, as `test("title", …)` does, that is not switched off.
fn has_title(source: &str, title: &str) -> bool {
    ['"', '`'].into_iter().any(|quote| {
        let call = format!("({quote}{title}{quote},");
        source.match_indices(&call).any(|(at, _)| {
            let line = &source[source[..at].rfind('\n').map_or(0, |end| end + 1)..at];
            !line.trim_start().starts_with("//") && !line.ends_with(".skip") && !line.ends_with(".todo")
        })
    })
}

fn exists(test: &Test, sources: &mut HashMap<PathBuf, Option<String>>) -> bool {
    let (Test::Rust { file, .. } | Test::Script { file, .. }) = test;
    let source = sources
        .entry(file.clone())
        .or_insert_with(|| fs::read_to_string(file).ok());
    source.as_ref().is_some_and(|source| match test {
        Test::Rust { function, .. } => functions(source).contains(function),
        Test::Script { title, .. } => has_title(source, title),
    })
}

fn name(test: &Test) -> String {
    let (Test::Rust { file, .. } | Test::Script { file, .. }) = test;
    let file = file.strip_prefix(root()).unwrap_or(file).display();
    match test {
        Test::Rust { function, .. } => format!("fn {function} in {file}"),
        Test::Script { title, .. } => format!("\"{title}\" in {file}"),
    }
}

#[test]
fn every_claim_is_proven_by_a_test_that_exists() {
    let page = fs::read_to_string(root().join(PAGE)).unwrap();
    let mut faults = Vec::new();
    let mut counts = BTreeMap::<_, usize>::new();
    let mut sources = HashMap::new();
    for Row { line, here, tests } in rows(&page, &mut faults) {
        let mut fault = |what: String| faults.push(format!("{PAGE}:{line}: {what}"));
        let verdict = verdict(&here);
        match verdict {
            Some(verdict) => *counts.entry(verdict).or_default() += 1,
            None => fault(format!("`{here}` begins with none of {VERDICTS:?}")),
        }
        let tests = named(&tests).unwrap_or_else(|malformed| {
            fault(malformed);
            Vec::new()
        });
        if tests.is_empty() && matches!(verdict, Some("same" | "better")) {
            fault(format!("claims `{here}` and names no test"));
        }
        for test in tests.iter().filter(|test| !exists(test, &mut sources)) {
            fault(format!("no test {}", name(test)));
        }
    }
    println!("{counts:?}");
    assert!(
        counts.values().sum::<usize>() > 200,
        "the tables were not found: {counts:?}"
    );
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_trap_of_clients_in_the_field_has_its_row() {
    let page = fs::read_to_string(root().join(PAGE)).unwrap();
    let missing: Vec<_> = (1..=40)
        .filter(|number| !page.lines().any(|line| line.starts_with(&format!("| {number}. "))))
        .collect();
    assert!(missing.is_empty(), "no row in {PAGE} for {missing:?}");
}

#[test]
fn a_page_that_is_spoilt_is_told_apart() {
    let mut faults = Vec::new();
    let page = "| x | here | test |\n|---|---|---|\n| a | same | `b::c` |\n| a | same |\n| a | same | `b::c`\ntext";
    let rows = rows(page, &mut faults);
    assert_eq!((rows.len(), rows[0].line, faults.len()), (1, 3, 2));

    assert_eq!(verdict("not offered yet: why"), Some("not offered"));
    assert_eq!(verdict("same: how"), Some("same"));
    assert_eq!(verdict("sameness"), None);
    assert_eq!(verdict(""), None);

    assert_eq!(named("").unwrap(), []);
    assert!(named("`a::b`, `stacks/a::b`, `interop/x/y.mjs \"a, `b`\"").is_err());
    assert_eq!(
        named("`a::b`, `stacks/a::b`, `interop/x/y.mjs \"a title, with: signs\"`")
            .unwrap()
            .len(),
        3
    );
    for malformed in [
        "a::b",
        "`a`",
        "`a::b",
        "`a::b` `a::c`",
        "`a::b`, `a::b`",
        "`a::b`,",
        "`a::b::c`",
        "`::b`",
        "`a::`",
        "`../a::b`",
        "`interop/a.mjs`",
        "`interop/a.mjs \"\"`",
        "`elsewhere/a.mjs \"x\"`",
    ] {
        assert!(named(malformed).is_err(), "{malformed}");
    }
}

#[test]
fn only_what_runs_counts_as_a_test() {
    let source = "
        #[test]
        fn plain() {}
        #[tokio::test(start_paused = true)]
        // Why.
        #[allow(clippy::x)]
        async fn with_more() {}
        fn helper() {}
        #[test]
        #[ignore = \"slow\"]
        fn ignored() {}
        #[derive(Debug)]
        struct Between;
        fn after() {}
    ";
    assert_eq!(
        functions(source).into_iter().collect::<Vec<_>>(),
        ["plain", "with_more"]
    );
    let script =
        "test(\"one\", f);\n  each(`two ${x}`, 1);\n// test(\"three\", f);\ntest.skip(\"four\", f);\nf(x, \"five\");";
    for (title, found) in [
        ("one", true),
        ("two ${x}", true),
        ("three", false),
        ("four", false),
        ("five", false),
        ("on", false),
    ] {
        assert_eq!(has_title(script, title), found, "{title}");
    }
}

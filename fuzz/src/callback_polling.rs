//! JSONP.

use http::StatusCode;

use crate::{
    answer::messages,
    expected::expected,
    world::{BASE, MAX_BODY, World, in_paused_time, post, send},
};

/// The query of a GET.
pub fn callback_polling(input: &[u8]) {
    in_paused_time(async {
        let world = World::new(false).await;
        let query = world.spoken(input);
        let Some(uri) = std::str::from_utf8(&query)
            .ok()
            .and_then(|query| format!("{BASE}?{query}").parse::<http::Uri>().ok())
        else {
            return;
        };
        let query = uri.query().unwrap_or_default().to_owned();
        let fields: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        let texts: Vec<&str> = fields
            .iter()
            .filter(|(name, _)| name == "message")
            .map(|(_, text)| &**text)
            .collect();

        let mut request = post("");
        *request.method_mut() = http::Method::GET;
        *request.uri_mut() = uri;
        let answer = send(&world.server, request).await;
        if texts.is_empty() {
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "it is for the application");
            return;
        }
        answer.check_headers(if answer.status == StatusCode::OK {
            "text/javascript; charset=utf-8"
        } else {
            "application/json"
        });
        if answer.status != StatusCode::OK {
            messages(answer.status, &answer.body);
            return;
        }
        assert!(query.len() <= MAX_BODY);
        let json = arguments(std::str::from_utf8(&answer.body).expect("UTF-8"));
        expected(&texts).check(answer.status, &messages(answer.status, json.as_bytes()));
        world.end().await;
    });
}

/// The JSON that the script calls its function with; it does nothing else, whatever its name.
fn arguments(script: &str) -> String {
    assert!(!script.contains(['\u{2028}', '\u{2029}']), "{script}");
    let call = script.strip_prefix("/**/").and_then(|script| script.strip_suffix(");"));
    let (name, arguments) = call.and_then(|call| call.split_once('(')).expect("a call");
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '$');
    assert!(
        !name.is_empty() && name.split('.').all(|part| !part.is_empty()),
        "{script}"
    );
    assert!(
        name.len() <= 64 && name.chars().all(|letter| letter == '.' || is_letter(letter)),
        "{script}"
    );
    let quoted = arguments
        .strip_prefix("JSON.parse(")
        .and_then(|arguments| arguments.strip_suffix(')'));
    if let Some(text) = quoted {
        // With the escapes that it has, the string of a script is one of JSON, too.
        return serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {script}"));
    }
    // As a script it means what it does as JSON.
    assert!(!arguments.contains("__proto__"), "{script}");
    arguments.to_owned()
}

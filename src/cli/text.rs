//! Bytes as text and back: keys, values and contexts on a command line and in JSON.

use std::io::Read;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rondo_client::{Context, Level};
use rondo_protocol::limits::{REQUEST_TIMEOUT_MAX, VALUE_BYTES_MAX};
use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use crate::config::keyspaces;

/// A key as it was typed: text, or hexadecimal digits if `is_hex`.
pub(crate) fn key_bytes(typed: &str, is_hex: bool) -> Result<Vec<u8>, Failure> {
    if !is_hex {
        return Ok(typed.as_bytes().to_vec());
    }
    let digits = typed.strip_prefix("0x").unwrap_or(typed).as_bytes();
    let pair = |pair: &[u8]| Some(hex_digit(*pair.first()?)? << 4 | hex_digit(*pair.get(1)?)?);
    digits
        .chunks(2)
        .map(pair)
        .collect::<Option<Vec<u8>>>()
        .ok_or_else(|| Failure::new(Exit::BadInput, format!("{typed:?} is not an even number of hexadecimal digits")))
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// A value as it was typed: `-` reads standard input, `@FILE` reads the file, all else is the value itself.
pub(crate) fn value_bytes(typed: &str) -> Result<Vec<u8>, Failure> {
    if typed == "-" {
        return read_bounded(std::io::stdin().lock(), "standard input");
    }
    let Some(path) = typed.strip_prefix('@') else { return Ok(typed.as_bytes().to_vec()) };
    let file = std::fs::File::open(path)
        .map_err(|error| Failure::new(Exit::BadInput, format!("cannot read {path}: {error}")))?;
    read_bounded(file, path)
}

/// Reads a value, and stops soon after it has become too long.
fn read_bounded(source: impl Read, name: &str) -> Result<Vec<u8>, Failure> {
    let mut value = Vec::new();
    let read = source.take(VALUE_BYTES_MAX as u64 + 1).read_to_end(&mut value);
    read.map_err(|error| Failure::new(Exit::BadInput, format!("cannot read {name}: {error}")))?;
    if value.len() > VALUE_BYTES_MAX {
        let message = format!("{name} has more than {VALUE_BYTES_MAX} bytes, the most that a value may have");
        return Err(Failure::new(Exit::BadInput, message));
    }
    Ok(value)
}

/// A context as printable text, without characters that a shell would look at.
pub(crate) fn context_text(context: &Context) -> String {
    URL_SAFE_NO_PAD.encode(context.as_bytes())
}

/// The context of such text.
pub(crate) fn parse_context(text: &str) -> Result<Context, String> {
    URL_SAFE_NO_PAD
        .decode(text.trim())
        .map(Context::from_bytes)
        .map_err(|error| format!("not a context that rondo printed: {error}"))
}

/// `{"NAME": text}` if the bytes are UTF-8, else `{"NAME_base64": …}`.
pub(crate) fn json_bytes(name: &str, bytes: &[u8]) -> (String, Value) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (name.to_owned(), json!(text)),
        Err(_) => (format!("{name}_base64"), json!(STANDARD.encode(bytes))),
    }
}

/// The bytes of base64 in JSON input.
pub(crate) fn parse_base64(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|error| format!("not base64: {error}"))
}

/// R or W as it was typed.
pub(crate) fn parse_level(typed: &str) -> Result<Level, String> {
    keyspaces::parse_level(typed).ok_or_else(|| "write one, quorum, all, or a number of replicas".to_owned())
}

/// `500ms`, `2s`, `1m`; a bare number is seconds.
pub(crate) fn parse_duration(typed: &str) -> Result<Duration, String> {
    let wrong = || "write a time such as 500ms, 2s or 1m".to_owned();
    let digits = typed.find(|c: char| !c.is_ascii_digit()).unwrap_or(typed.len());
    let (number, unit) = typed.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let duration = match unit {
        "ms" => Duration::from_millis(number),
        "s" | "" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.saturating_mul(60)),
        _ => return Err(wrong()),
    };
    if duration.is_zero() || duration > REQUEST_TIMEOUT_MAX {
        return Err(format!("a timeout is more than zero and at most {} s", REQUEST_TIMEOUT_MAX.as_secs()));
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_survives_being_printed_and_typed() {
        let context = Context::from_bytes(vec![1, 0, 255, 62, 63, 7]);
        assert_eq!(parse_context(&context_text(&context)), Ok(context));
        assert!(parse_context("not a context!").is_err());
    }

    #[test]
    fn binary_keys_are_typed_as_hexadecimal_digits() {
        assert_eq!(key_bytes("0x00ff", true), Ok(vec![0, 255]));
        assert_eq!(key_bytes("00FF", true), Ok(vec![0, 255]));
        assert_eq!(key_bytes("0x00ff", false), Ok(b"0x00ff".to_vec()));
        for typed in ["0", "0g", "é0"] {
            assert_eq!(key_bytes(typed, true).map_err(|failure| failure.exit), Err(Exit::BadInput), "{typed}");
        }
    }

    #[test]
    fn times_carry_a_unit_and_are_bounded() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2"), Ok(Duration::from_secs(2)));
        for typed in ["", "s", "0s", "2m", "1h", "-1s", "99999999999999999999s"] {
            assert!(parse_duration(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_become_base64_in_json() {
        assert_eq!(json_bytes("value", b"ab"), ("value".to_owned(), json!("ab")));
        assert_eq!(json_bytes("value", &[255]), ("value_base64".to_owned(), json!("/w==")));
        assert_eq!(parse_base64("/w=="), Ok(vec![255]));
    }
}

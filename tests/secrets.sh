#!/usr/bin/env bash
# Keeps plain comparisons and plain texts away from secrets. `frp_proto::Secret` compares in constant time and has no way
# to its text but `expose()`; what this finds are the two ways around it:
#   - a statement that exposes a secret and compares
#   - a field with the name of a secret and the type of a plain text
# Tests may do what they like.
set -euo pipefail
cd "$(dirname "$0")/.."

scan() {
  perl -0777 -ne '
    BEGIN {
      $comparison = qr/==|!=|\.(?:eq|ne|cmp|partial_cmp|starts_with|ends_with|contains|eq_ignore_ascii_case)\(|\bmatches!\(/;
      $opened = qr/\.expose\(\)|\bencryption_secret\(\)/;
      $name = qr/\w*(?:password|passwd|secret|token)|secret_key|privilege_key|sign_key|group_key|http_pwd|sk/;
    }
    # Comments, strings and the tests at the end say what they like.
    s{\bb?r(\#*)".*?"\g1|b?"(?:[^"\\]|\\.)*"|(b?\x27(?:[^\x27\\\n]|\\[^\n]{1,8}?)\x27)|//[^\n]*}{defined $2 ? "0" : substr($&, 0, 2) eq "//" ? "" : q("")}gse;
    s{\#\[cfg\(test\)\]\s*mod tests \{.*}{}s;
    for my $statement (split /[;{}]|,\n/) {
      next unless $statement =~ $opened && $statement =~ $comparison;
      $statement =~ s/\s+/ /g;
      print "$ARGV: compares a secret in variable time:$statement\n";
    }
    while (/^\s*(?:pub(?:\([a-z]+\))? )?($name): ((?:Option<)?(?:String|Arc<str>|Box<str>|Vec<u8>)>?),$/mg) {
      print "$ARGV: $1 is a $2, not a Secret\n";
    }
  ' "$@"
}

# The check itself: both ways around are found, what is right passes.
trial=$(mktemp)
trap 'rm -f "$trial"' EXIT
cat >"$trial" <<'RUST'
struct A { token: Secret, password: String }
struct B {
    password: String,
    key: Secret,
}
const URL: &str = "https://a";
const QUOTE: char = '"';
fn f() { if a.token.expose() == b { } let good = a.token == b; }
fn g() -> bool {
    a.token
        .expose()
        .as_bytes() == b
}
RUST
if [ "$(scan "$trial" | wc -l)" != 3 ]; then
  scan "$trial"
  echo "tests/secrets.sh does not find what it looks for" >&2
  exit 1
fi

mapfile -t sources < <(find crates -path '*/src/*' -name '*.rs' -not -name 'tests.rs' -not -path '*/tests/*')
found=$(scan "${sources[@]}")
if [ -n "$found" ]; then
  echo "$found" >&2
  exit 1
fi

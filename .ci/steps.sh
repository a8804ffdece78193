# Functions of .ci/run and .ci/long; both source this file.

# Each skipped test adds its line to this file (shards/tests/common/skip.rs).
export SQUALL_SKIPPED_FILE=$PWD/target/skipped-tests
mkdir -p target
: >"$SQUALL_SKIPPED_FILE"

# How many tests were skipped in all steps.
skipped_tests=0

# Prints the skipped tests after a line of the file, and their number, and adds it to the sum.
print_skipped_after() {
    local lines count
    lines=$(tail -n "+$(($1 + 1))" "$SQUALL_SKIPPED_FILE" | sort -u)
    [ -n "$lines" ] || return 0
    count=$(wc -l <<<"$lines")
    printf 'skipped %d:\n%s\n' "$count" "$lines"
    skipped_tests=$((skipped_tests + count))
}

# Runs a command under a name, prints its time and its skipped tests, and ends the script if it fails.
step() {
    local name=$1 began=$SECONDS status=0 skipped
    skipped=$(wc -l <"$SQUALL_SKIPPED_FILE")
    shift
    printf '\n=== %s\n' "$name"
    "$@" || status=$?
    printf -- '--- %s: %d s\n' "$name" "$((SECONDS - began))"
    print_skipped_after "$skipped"
    if [ "$status" -ne 0 ]; then
        printf 'failed: %s\n' "$name" >&2
        exit "$status"
    fi
}

# Runs `cargo test` with a filter, and fails where the filter selects no test: cargo itself succeeds then.
filtered() {
    local output status=0
    output=$(mktemp)
    "$@" | tee "$output" || status=$?
    if [ "$status" -eq 0 ] && ! grep -Eq '^test result: ok\. [1-9][0-9]* passed' "$output"; then
        echo 'could not run the test: no test has this name; correct the filter' >&2
        status=1
    fi
    rm -f "$output"
    return "$status"
}

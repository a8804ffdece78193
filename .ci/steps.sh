# Functions of .ci/run and .ci/long; both source this file.

# Runs a command under a name, prints its time, and ends the script if it fails.
step() {
    local name=$1 began=$SECONDS status=0
    shift
    printf '\n=== %s\n' "$name"
    "$@" || status=$?
    printf -- '--- %s: %d s\n' "$name" "$((SECONDS - began))"
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

// Package campaign treats a node as badly as a bad week would, and holds what it does against what others know.
//
// The node is this program, in a process of its own on a folder of its own. Its upstreams are the sandbox, which keeps a record
// of every call that it serves; its callers speak four dialects and keep what they hold. A crash campaign kills the process at
// random moments. A soak lets it run for long, under faults of every other kind. After either the log must agree with the record
// and with the callers, call by call; each place where it does not is a difference, and there must be none.
package campaign

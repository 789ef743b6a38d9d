// Package store keeps the log on SQLite: one writer that decides and appends, a pool that reads, and what is derived.
//
// The Store is the only door. Execute hands a command to the one goroutine that owns the write connection; it decides
// everything queued against one draft, commits once at synchronous=FULL, publishes the state, and answers. View reads
// that state from memory. Page and Stream read the log. A Reader reads the same files beside a running node.
//
// The files of a data folder: waybill.db, the log and its inline projections; reports.db, async projections that can
// be dropped; vault.db, sealed secrets; lock, held by the one process that writes; ballast, freed when the disk is full.
package store

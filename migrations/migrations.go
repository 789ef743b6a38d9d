// Package migrations carries the numbered SQL that makes and changes waybill's files. Numbers only grow, a released
// migration is never edited, and none rewrites an event: old shapes are upcast when they are read.
package migrations

import "embed"

// FS has a folder a file: log for waybill.db, reports for reports.db, vault for vault.db.
//
//go:embed */*.sql
var FS embed.FS

// The folders of FS.
const (
	Log     = "log"
	Reports = "reports"
	Vault   = "vault"
)

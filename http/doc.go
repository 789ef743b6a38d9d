// Package http is waybill's face: the inference endpoints in the callers' dialects, the control API under /api/v1, health,
// metrics, and the client that the command line uses.
//
// It decides nothing about money. It finds out who calls, reads and bounds what they send, hands a request to the router
// or a command to the ledger's keeper, and writes what comes back in the shape that the caller knows. What it needs of the
// rest it declares as small interfaces (see Options), so that it knows no storage.
//
// Who may call: a key (wbk_…) with scope inference calls models; a key with scope admin does what concerns its own org;
// the operator's token, and whoever can open the Unix socket, may do everything.
//
// Importers outside call this package wbhttp, since it shares its name with net/http, which it uses.
package http

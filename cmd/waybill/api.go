package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"

	wbhttp "waybill/http"
	"waybill/ledger"
)

// api is the control API of a node, wherever that runs.
type api struct{ client *wbhttp.Client }

// call makes a call, and gives the answer as it came.
func (a *api) call(ctx context.Context, method, path string, body any) (json.RawMessage, error) {
	var answer json.RawMessage
	err := a.client.Do(ctx, method, "/api/v1"+path, body, &answer)
	if p, ok := errors.AsType[*wbhttp.Problem](err); ok && p.Code == string(ledger.CodeNotReplicated) {
		// Commands send no Idempotency-Key, of which the node's words tell: a second one would do it twice.
		p.Detail = "this is done and on the node's disk, but the replica has not confirmed it in time. Do not run the command again: waybill checklist tells how far the replica is"
	}
	return answer, err
}

func (a *api) get(ctx context.Context, path string, out any) error {
	answer, err := a.call(ctx, "GET", path, nil)
	if err != nil {
		return err
	}
	return json.Unmarshal(answer, out)
}

func (a *api) post(ctx context.Context, path string, body, out any) error {
	answer, err := a.call(ctx, "POST", path, body)
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(answer, out)
}

// at writes a path whose variables may hold any text.
func at(format string, names ...string) string {
	escaped := make([]any, len(names))
	for i, n := range names {
		escaped[i] = url.PathEscape(n)
	}
	return fmt.Sprintf(format, escaped...)
}

// withAPI is a command that works through the control API: of the running node over its socket, or, if none runs, of one
// that is opened for the command alone, under the folder's lock. The command cannot tell which.
func withAPI(do func(ctx context.Context, w *work, a *api, args []string) error) action {
	return func(ctx context.Context, w *work, args []string) (err error) {
		socket := filepath.Join(w.conf.data, socketName)
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			client := wbhttp.Dial(socket)
			defer client.Close()
			return do(ctx, w, &api{client}, args)
		}
		n, err := openNode(ctx, w.conf, nodeOptions{log: slog.New(slog.NewTextHandler(w.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, n.close()) }()
		a := n.api()
		defer a.client.Close()
		return do(ctx, w, a, args)
	}
}

// api is the node's own, without a connection.
func (n *node) api() *api { return &api{wbhttp.InProcess(n.server)} }

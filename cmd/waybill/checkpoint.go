package main

import "context"

var checkpointCommand = command{
	name:  "checkpoint",
	about: "sign what the log is now, and print it",
	more: "A checkpoint is three lines and a signature: which log in which epoch, how many events, and the hash of the Merkle tree over\n" +
		"them (C2SP tlog-checkpoint). Kept on another machine, it shows later whether the log still has those events, unchanged:\n" +
		"waybill verify --head FILE. With a replica, only what that holds is signed. --key prints the public key alone, by which\n" +
		"checkpoints and receipts are verified; it stays the same for the life of the node.",
	example: []string{"waybill checkpoint > 2026-11-30.checkpoint", "waybill checkpoint --key > waybill.vkey"},
	setup: func(f *flags) action {
		key := f.Bool("key", false, "print the public key alone")
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, _ []string) error {
			if *key {
				k, err := publicKey(ctx, w.conf.data)
				if err == nil {
					w.printf("%s\n", k)
				}
				return err
			}
			answer, err := a.call(ctx, "GET", "/checkpoint", nil)
			if err != nil {
				return err
			}
			return show(w, answer, *asJSON, func(c struct{ Checkpoint string }) error {
				w.printf("%s", c.Checkpoint)
				return nil
			})
		})
	},
}

var receiptCommand = command{
	name:  "receipt",
	args:  "REQUEST",
	about: "prove what the log has of one call, for somebody who does not trust this node",
	more: "Prints JSON: each event of the call with the proof that the signed log holds it. waybill verify-receipt checks it on any\n" +
		"machine, with the public key alone. It has nothing of other orgs but how many events the log has in all. REQUEST is as for explain.",
	example: []string{"waybill receipt req_0192f0c1d2e37f4a8b5c6d7e8f901234 > receipt.json"},
	setup: func(*flags) action {
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			answer, err := a.call(ctx, "GET", at("/requests/%s/receipt", args[0]), nil)
			if err != nil {
				return err
			}
			return writeJSON(w.stdout, answer)
		})
	},
}

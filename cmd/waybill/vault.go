package main

import (
	"context"
	"path/filepath"
)

// vaultView is what is under which master key, as the control API shows it.
type vaultView struct {
	Master      string
	File        string
	UnderWay    bool `json:"under_way"`
	Keys        []vaultKeyView
	Rewrapped   uint64
	Reencrypted uint64
	Former      *struct {
		Master      string
		File        string
		NeededUntil string `json:"needed_until"`
	}
}

type vaultKeyView struct {
	Master   string
	Orgs     int
	DataKeys int `json:"data_keys"`
	Secrets  int
}

var vaultRotate = command{
	name:  "vault rotate",
	about: "put the vault under a new master key",
	more: "Every secret is sealed under a data key of its org, and every data key under the master key. A new master key wraps the data\n" +
		"keys anew; --reencrypt replaces those too, and seals every secret anew: do that when the old key may have been seen together\n" +
		"with a copy of vault.db. A provider key that may have been read itself is replaced at its provider: credential rotate.\n" +
		"Calls go on throughout. Interrupted, the node starts with both keys, the new one in the key's file and the former one beside\n" +
		"it, in FILE.old, and the same command goes on. Replicas and backups from before open with the former key alone: it is told\n" +
		"until when the replica needs it. Where the node may not write to its key's file, put both keys in place yourself, then run this.",
	example: []string{"waybill vault rotate --dry-run", "waybill vault rotate", "waybill vault rotate --new-key /root/next.key --reencrypt"},
	setup: func(f *flags) action {
		newKey := f.String("new-key", "", "the `FILE` of the new master key, 32 bytes in base64 or hexadecimal (default: one is made)")
		keep := f.Bool("keep-key", false, "keep the master key, and replace the data keys alone")
		reencrypt := f.Bool("reencrypt", false, "give each org a new data key, and seal its secrets anew")
		dry := f.Bool("dry-run", false, "tell what is under which key, and change nothing")
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, _ []string) error {
			if *keep && *newKey != "" {
				return misused("--keep-key and --new-key cannot both be meant")
			}
			file := *newKey
			if file != "" {
				var err error
				if file, err = filepath.Abs(file); err != nil { // the node may be elsewhere
					return err
				}
			}
			answer, err := a.call(ctx, "POST", "/vault/rotate", map[string]any{"new_key_file": file, "keep_key": *keep, "reencrypt": *reencrypt, "dry_run": *dry})
			if err != nil {
				return err
			}
			return show(w, answer, *asJSON, func(v vaultView) error { return showVault(w, v, *dry) })
		})
	},
}

func showVault(w *work, v vaultView, dry bool) error {
	t := newTable("master key", ">orgs", ">data keys", ">secrets", "file")
	former := v.Former
	for _, k := range v.Keys {
		file := ""
		switch {
		case k.Master == v.Master:
			file = v.File
		case former != nil && k.Master == former.Master:
			file = former.File
		}
		t.row(k.Master, grouped(int64(k.Orgs)), grouped(int64(k.DataKeys)), grouped(int64(k.Secrets)), file)
	}
	if len(v.Keys) == 0 {
		t.row(v.Master, "0", "0", "0", v.File)
	}
	if err := t.write(w.stdout); err != nil {
		return err
	}
	w.printf("\n")
	switch {
	case dry && v.UnderWay:
		w.printf("A rotation has begun and not ended: waybill vault rotate goes on with it. Until then both keys are needed.\n")
		return nil
	case dry:
		w.printf("Nothing was changed.\n")
		return nil
	}
	w.printf("%s wrapped anew, %s sealed anew. The vault opens with %s alone: keep a copy of it elsewhere.\n",
		counted(int64(v.Rewrapped), "data key"), counted(int64(v.Reencrypted), "secret"), v.File)
	if former == nil {
		return nil
	}
	if former.NeededUntil != "" {
		w.printf("The former key is in %s. The replica of the vault may need it until %s UTC; backups that you made yourself, as long as you keep them.\n",
			former.File, second(former.NeededUntil))
	} else {
		w.printf("The former key is in %s. There is no replica that needs it; backups that you made yourself do, as long as you keep them.\n", former.File)
	}
	w.printf("Then delete it, and your copies of it.\n")
	return nil
}

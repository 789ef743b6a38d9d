package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"

	"waybill/ledger"
	"waybill/ledger/catalogue"
	"waybill/store"
)

var initCommand = command{
	name:  "init",
	about: "make the data folder, the master key and the operator's token",
	more: "The log begins with the plans and the catalogue of models and dated prices that this version carries. The master key\n" +
		"opens the provider secrets that are stored later: keep a copy of it outside this machine. The operator's token is shown\n" +
		"once; the folder keeps its digest alone. WAYBILL_OPERATOR_TOKEN and WAYBILL_MASTER_KEY_FILE say what to use instead.",
	example: []string{"waybill init", "waybill init --data /var/lib/waybill"},
	setup: func(*flags) action {
		return func(ctx context.Context, w *work, _ []string) error {
			token, err := create(ctx, w.conf, nil)
			if err != nil {
				return err
			}
			w.printf("data folder      %s\n", w.conf.data)
			w.printf("master key       %s (keep a copy elsewhere: without it no provider secret can be read)\n", w.conf.masterKeyFile)
			if !w.conf.operatorToken.IsZero() {
				w.printf("operator token   as in WAYBILL_OPERATOR_TOKEN\n")
			} else {
				w.printf("operator token   %s (shown this once)\n", token)
			}
			key, err := publicKey(ctx, w.conf.data)
			if err != nil {
				return err
			}
			w.printf("public key       %s (checks what the node signs: publish it)\n", key)
			w.printf("\nNext: waybill serve\n")
			return nil
		}
	},
}

// operatorValue is the name under which the node keeps the digest of the operator's token.
const operatorValue = "operator_token_sha256"

// create makes a data folder and gives the operator's token. newID makes the ids of its first events; nil: UUIDv7.
func create(ctx context.Context, c config, newID func() [16]byte) (token string, err error) {
	if err := store.Vacant(c.data); err != nil {
		return "", err
	}
	if err := os.MkdirAll(c.data, 0o700); err != nil {
		return "", err
	}
	master, err := masterKey(c.masterKeyFile)
	if err != nil {
		return "", err
	}
	first, err := catalogue.Commands(ledger.By{Actor: "operator", Cause: "init"})
	if err != nil {
		return "", err
	}
	if err := store.Create(ctx, store.Options{Dir: c.data, NewID: newID}, first); err != nil {
		return "", err
	}
	s, err := store.Open(ctx, store.Options{Dir: c.data})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	// The vault is made now, so that it and the master key are known to belong together, and the signing key in it.
	vault, err := store.OpenVault(ctx, c.data, master)
	if err != nil {
		return "", err
	}
	_, err = store.OpenNotary(ctx, s, vault, store.NotaryOptions{})
	if err := errors.Join(err, vault.Close()); err != nil {
		return "", err
	}
	if token = c.operatorToken.Reveal(); token == "" {
		token = "wbo_" + rand.Text() + rand.Text()[:6]
	}
	return token, s.SetNodeValue(ctx, operatorValue, []byte(digest(token)))
}

// masterKey takes the key that is there, since it may open other vaults, or makes one.
func masterKey(path string) (store.MasterKey, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return store.CreateMasterKey(path)
	}
	return store.ReadMasterKey(path)
}

// digest is how a secret is known where it may not stand: SHA-256 in hex.
func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

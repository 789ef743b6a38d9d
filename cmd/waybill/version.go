package main

import (
	"context"
	"runtime"
	"runtime/debug"
)

var versionCommand = command{
	name:    "version",
	about:   "say which version this is",
	example: []string{"waybill version"},
	alone:   true,
	setup: func(*flags) action {
		return func(_ context.Context, w *work, _ []string) error {
			w.printf("waybill %s %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		}
	},
}

// version is the module's version, or the commit that it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, changed := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+changes"
		}
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	if revision == "" {
		return "devel"
	}
	return revision + changed
}

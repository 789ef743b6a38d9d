package http

import "net/http"

// What every answer says to a browser: to take it for nothing but what its type says, to run and load nothing from it, to put it
// into no frame, to keep no copy, and to tell nobody where it was. Programs do not look at these. They are set without going
// through their canonical form again, and shared, so nobody may change the slices.
var protections = map[string][]string{
	"X-Content-Type-Options":       {"nosniff"},
	"Content-Security-Policy":      {"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"},
	"X-Frame-Options":              {"DENY"},
	"Referrer-Policy":              {"no-referrer"},
	"Cross-Origin-Resource-Policy": {"same-origin"},
	"Cache-Control":                {"no-store"},
}

// onlyTLS keeps browsers from calling by plain HTTP for a year.
var onlyTLS = []string{"max-age=31536000"}

func protect(h http.Header, r *http.Request) {
	for name, values := range protections {
		h[name] = values
	}
	if r.TLS != nil {
		h["Strict-Transport-Security"] = onlyTLS
	}
}

package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"text/template"
)

func TestSecretIsNeverShown(t *testing.T) {
	const value = "sk-proj-0123456789abcdef"
	s := New(value)
	type holder struct {
		Open   Text
		hidden Text
		At     *Text
		List   []Text
		Map    map[string]Text
	}
	h := holder{s, s, &s, []Text{s}, map[string]Text{"a": s}}
	var out bytes.Buffer
	for _, x := range []any{s, &s, h, &h, []any{s}, struct{ s Text }{s}, error(fmt.Errorf("with %v and %s and %q: %w", s, s, s, errors.New("x")))} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%T", "%10.30s", "%p"} {
			fmt.Fprintf(&out, verb+"\n", x)
		}
		b, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
		for _, l := range []*slog.Logger{slog.New(slog.NewTextHandler(&out, nil)), slog.New(slog.NewJSONHandler(&out, nil))} {
			l.Info("secret", "x", x, slog.Group("g", "y", x))
		}
	}
	if err := template.Must(template.New("").Parse(`{{.}} {{printf "%v" .}} {{.Open}}`)).Execute(&out, h); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&out, s.String(), s.GoString(), errors.Join(fmt.Errorf("%v", h)))
	for _, shape := range []string{value, hex.EncodeToString([]byte(value)), strings.ToUpper(hex.EncodeToString([]byte(value))),
		base64.StdEncoding.EncodeToString([]byte(value)), "115 107 45", value[8:]} {
		if i := strings.Index(out.String(), shape); i >= 0 {
			t.Errorf("shown: %q", out.String()[max(0, i-60):i+20])
		}
	}
	if !strings.Contains(out.String(), redacted) {
		t.Error("nothing says that there is a secret")
	}
	if s.Reveal() != value || (Text{}).Reveal() != "" {
		t.Error("Reveal does not give the value")
	}
}

package router_test

import (
	"testing"

	"waybill/router"
)

// Each word for a reason is told once, those included that the ledger passes a leg over by, and every class of failure that a policy
// can name.
func TestReasons(t *testing.T) {
	seen, twice := map[string]bool{}, map[router.Reason]bool{}
	for _, r := range router.Reasons {
		if one := (router.Reason{Word: r.Word, When: r.When}); r.Meaning == "" || r.When == "" || twice[one] {
			t.Errorf("%+v", r)
		} else {
			seen[r.Word], twice[one] = true, true
		}
	}
	for _, code := range router.Passing {
		if !seen[string(code)] {
			t.Errorf("%s is not told", code)
		}
	}
	for _, class := range router.DefaultSettings.RetryOn {
		if !seen[string(class)] {
			t.Errorf("%s is not told", class)
		}
	}
	for reason, want := range map[string]string{"lacks_tools": "the model does not have what the request needs: tools", "unsupported: tools[0].type": "the model or its provider's dialect cannot carry tools[0].type", "": "", "lack": ""} {
		if got := router.Meaning(reason); got != want {
			t.Errorf("%s: %s", reason, got)
		}
	}
}

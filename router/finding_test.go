package router

import (
	"net/http"
	"testing"

	"waybill/ledger"
)

// That an account is empty, a call tells by its status, its code or a dialect's own phrase: the rest of its words may be the caller's.
func TestFindingsOfCalls(t *testing.T) {
	for _, tt := range []struct {
		e    UpstreamError
		want ledger.CheckStatus
	}{
		{UpstreamError{Class: ClassCredential, Status: http.StatusForbidden, Code: "permission_error", Message: "no file credit balance.pdf"}, ledger.CheckDead},
		{UpstreamError{Class: ClassCredential, Status: http.StatusForbidden, Code: "BILLING_DISABLED"}, ledger.CheckUnfunded},
		{UpstreamError{Class: ClassCredential, Status: http.StatusBadRequest, Phrase: "is too low"}, ledger.CheckUnfunded},
		{UpstreamError{Class: ClassCredential, Status: http.StatusPaymentRequired}, ledger.CheckUnfunded},
		{UpstreamError{Class: ClassCredential, Status: http.StatusUnauthorized, Code: "billing"}, ledger.CheckDead},
		{UpstreamError{Class: ClassRateLimited}, ledger.CheckLimited},
		{UpstreamError{Class: ClassServerError, Message: "quota"}, ledger.CheckUnreachable},
	} {
		if f := findingOf(&tt.e, tt.e.Code); f.Status != tt.want {
			t.Errorf("%+v is %s", tt.e, f.Status)
		}
	}
}

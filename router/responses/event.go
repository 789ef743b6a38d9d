package responses

import (
	"strconv"

	"waybill/router"
	"waybill/router/openai"
)

// appendEvent appends one SSE frame. The payload's own members follow its type and its number in the stream.
func appendEvent(b []byte, kind string, sequence int64, members ...string) []byte {
	b = append(append(append(b, "event: "...), kind...), "\ndata: {\"type\":\""...)
	b = append(append(b, kind...), `","sequence_number":`...)
	b = strconv.AppendInt(b, sequence, 10)
	for _, m := range members {
		b = append(append(b, ','), m...)
	}
	return append(b, "}\n\n"...)
}

// failure is a response's error object. Its codes are a short list in OpenAI's clients, to which a failure of ours adds.
func failure(f router.Failure) string {
	o := router.NewObject(len(f.Message) + 64)
	o.String("code", f.Code)
	o.String("message", f.Message)
	return string(o.End())
}

// breakOff writes the two events that end a stream which cannot be finished. The first has its members both as OpenAI's
// description has them and, as OpenAI's servers send them, in an object error: that is what makes its Go and Node
// clients raise it. The second is the terminal event for those who wait for one.
func breakOff(f router.Failure, sequence int64, response string) []byte {
	param := "null"
	if f.Field != "" {
		param = router.Quote(f.Field)
	}
	code, message := router.Quote(f.Code), router.Quote(f.Message)
	b := appendEvent(nil, "error", sequence,
		`"code":`+code, `"message":`+message, `"param":`+param,
		`"error":{"type":"`+openai.KindOf(f.Status)+`","code":`+code+`,"message":`+message+`,"param":`+param+`}`)
	return appendEvent(b, "response.failed", sequence+1, response)
}

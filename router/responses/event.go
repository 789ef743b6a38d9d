package responses

import (
	"strconv"

	"waybill/router"
	"waybill/router/openai"
)

// appendHead begins one SSE frame with the payload's type and its number in the stream.
func appendHead(b []byte, kind string, sequence int64) []byte {
	b = append(append(append(b, "event: "...), kind...), "\ndata: {\"type\":\""...)
	b = append(append(b, kind...), `","sequence_number":`...)
	return strconv.AppendInt(b, sequence, 10)
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
func breakOff(f router.Failure, sequence int64, response []byte) []byte {
	param := "null"
	if f.Field != "" {
		param = router.Quote(f.Field)
	}
	code, message := router.Quote(f.Code), router.Quote(f.Message)
	about := `,"code":` + code + `,"message":` + message + `,"param":` + param
	b := make([]byte, 0, len(response)+2*len(about)+512)
	b = append(append(appendHead(b, "error", sequence), about...), `,"error":{"type":"`...)
	b = append(append(append(b, openai.KindOf(f.Status)...), '"'), about...)
	b = appendHead(append(b, "}}\n\n"...), "response.failed", sequence+1)
	return append(append(append(b, `,"response":`...), response...), "}\n\n"...)
}

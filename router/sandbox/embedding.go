package sandbox

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

const (
	openaiDimensions = 1536
	geminiDimensions = 3072
	mostDimensions   = 3072
)

var (
	openaiEmbedding = object(fields{
		"model!": someText, "user": anyText, "dimensions": integerFrom(1, mostDimensions), "encoding_format": oneOf("float", "base64"),
		"input!": either(someText, listOf(anyValue, 1, 2048)),
	})
	geminiEmbedding = fields{
		"model": anyText, "content!": geminiSystem, "title": anyText, "outputDimensionality": integerFrom(1, mostDimensions),
		"taskType": oneOf("TASK_TYPE_UNSPECIFIED", "RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT", "SEMANTIC_SIMILARITY", "CLASSIFICATION",
			"CLUSTERING", "QUESTION_ANSWERING", "FACT_VERIFICATION", "CODE_RETRIEVAL_QUERY"),
	}
	geminiEmbed = object(geminiEmbedding)
	geminiBatch = object(fields{"requests!": listOf(object(merge(geminiEmbedding, fields{"model!": anyText})), 1, 100)})
)

// Embedding is the vector of a text: of length one, and the same wherever it is asked for.
func Embedding(text string, dimensions int) []float32 {
	plain, _ := stripDirective(text)
	state := hashText(plain)
	values, sum := make([]float64, dimensions), 0.0
	for i := range values {
		values[i] = float64(next(&state)>>11)/(1<<52) - 1
		sum += values[i] * values[i]
	}
	vector := make([]float32, dimensions)
	for i, v := range values {
		vector[i] = float32(v / math.Sqrt(sum))
	}
	return vector
}

// admitEmbedding checks a call for embeddings and composes them.
func (s *Sandbox) admitEmbedding(x *exchange, r *http.Request, v gjson.Result, secret string) *fault {
	p := &prompt{model: x.seen.model, limit: -1, choices: 1}
	var f *fault
	var whole func(a *answer) any
	if x.d == geminiDialect {
		whole, f = readGeminiEmbedding(v, p, strings.HasSuffix(r.URL.Path, ":batchEmbedContents"))
	} else {
		whole, f = readOpenaiEmbedding(v, p)
	}
	if f != nil {
		return f
	}
	if !s.serves(x.d.provider, p.model) {
		return faultOf(x.d.provider, NotFound, 0).about(p.model)
	}
	script, f := s.scriptFor(x.d, p, secret)
	if f != nil {
		return f
	}
	if script.Output > 0 || script.Say != "" || script.Call != "" || script.Calls > 0 || script.Verdict != "" || script.Reasoning > 0 ||
		script.Cached+script.CacheWrite+script.CacheWriteLong > 0 || script.Finish != "" || script.Tier != "" {
		return scriptFault(x.d.provider, errors.New("embeddings have no text, reasoning, calls, cache, tier or verdict"))
	}
	a := &answer{prompt: p, script: script, input: p.input, request: requestID(x.id)}
	if script.Input > 0 {
		a.input = script.Input
	}
	x.a, x.script, x.whole = a, script, whole(a)
	s.calls.update(x.call, func(c *Call) { c.Messages = p.messages })
	return nil
}

// readOpenaiEmbedding reads texts, or lists of token ids, each of which is one token.
func readOpenaiEmbedding(v gjson.Result, p *prompt) (func(*answer) any, *fault) {
	if bad := (checker{nullIsAbsent: true}).check(v, openaiEmbedding); bad != nil {
		return nil, openaiComplaint(bad)
	}
	input := v.Get("input")
	inputs := []gjson.Result{input}
	if first := input.Get("0"); input.IsArray() && first.Type != gjson.Number {
		inputs = input.Array()
	}
	texts := make([]string, len(inputs))
	for i, in := range inputs {
		text, ok := p.embeddable(in)
		if !ok {
			return nil, openaiFault("input", "invalid_type", "Invalid type for 'input[%s]': expected a non-empty string, or an array of token ids.", strconv.Itoa(i))
		}
		texts[i] = text
	}
	p.lastUser = texts[0]
	dimensions := openaiDimensions
	if n := v.Get("dimensions"); given(n) {
		dimensions = int(n.Int())
	}
	encoded := v.Get("encoding_format").Str == "base64"
	return func(a *answer) any {
		data := make([]any, len(texts))
		for i, text := range texts {
			var vector any = Embedding(text, dimensions)
			if encoded {
				vector = littleEndian(vector.([]float32))
			}
			data[i] = jsonObject{"object": "embedding", "index": i, "embedding": vector}
		}
		body := jsonObject{"object": "list", "model": a.prompt.model, "data": data}
		if !a.script.NoUsage {
			body["usage"] = jsonObject{"prompt_tokens": a.input, "total_tokens": a.input}
		}
		return body
	}, nil
}

// embeddable counts one input and returns what stands for it.
func (p *prompt) embeddable(in gjson.Result) (text string, ok bool) {
	p.messages++
	if in.Type == gjson.String {
		p.addText(in.Str)
		return in.Str, in.Str != ""
	}
	ids := in.Array()
	for _, id := range ids {
		if id.Type != gjson.Number || strings.ContainsAny(id.Raw, ".eE-") {
			return "", false
		}
	}
	p.input += len(ids)
	return in.Raw, in.IsArray() && len(ids) > 0
}

// littleEndian is a vector as OpenAI sends it in base64.
func littleEndian(vector []float32) string {
	b := make([]byte, 0, 4*len(vector))
	for _, v := range vector {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return base64.StdEncoding.EncodeToString(b)
}

// readGeminiEmbedding reads one content or a batch of requests.
func readGeminiEmbedding(v gjson.Result, p *prompt, batch bool) (func(*answer) any, *fault) {
	shape := geminiEmbed
	if batch {
		shape = geminiBatch
	}
	if bad := (checker{nullIsAbsent: true, rename: camel}).check(v, shape); bad != nil {
		return nil, geminiComplaint(bad)
	}
	requests := []gjson.Result{v}
	if batch {
		requests = v.Get("requests").Array()
	}
	texts, dimensions := make([]string, len(requests)), make([]int, len(requests))
	for i, r := range requests {
		var turn geminiTurn
		if fault := (geminiHearer{}).readParts(r.Get("content"), "content", p, &turn); fault != nil {
			return nil, fault
		}
		p.messages++
		if model := r.Get("model").Str; batch && model != "models/"+p.model {
			return nil, geminiFault("requests", "* BatchEmbedContentsRequest.requests[%d].model: must be models/%s\n", i, p.model)
		}
		if geminiField(r, "title").Str != "" && geminiField(r, "taskType").Str != "RETRIEVAL_DOCUMENT" {
			return nil, geminiFault("title", "* EmbedContentRequest.title: only applicable when task_type is RETRIEVAL_DOCUMENT\n")
		}
		texts[i], dimensions[i] = turn.text, geminiDimensions
		if n := geminiField(r, "outputDimensionality"); given(n) {
			dimensions[i] = int(n.Int())
		}
	}
	p.lastUser = texts[0]
	return func(*answer) any {
		vectors := make([]any, len(texts))
		for i, text := range texts {
			vectors[i] = jsonObject{"values": Embedding(text, dimensions[i])}
		}
		if batch {
			return jsonObject{"embeddings": vectors}
		}
		return jsonObject{"embedding": vectors[0]}
	}, nil
}

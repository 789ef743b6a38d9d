package sandbox

import (
	"net/http"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// geminiHearer reads generateContent requests.
type geminiHearer struct{}

var (
	geminiBlob = object(fields{"mimeType!": someText, "data!": someText, "displayName": anyText})
	geminiFile = object(fields{"fileUri!": someText, "mimeType": anyText, "displayName": anyText})

	geminiPart = object(fields{
		"text": anyText, "inlineData": geminiBlob, "fileData": geminiFile,
		"functionCall": object(fields{"name!": someText, "args": anyObject, "id": anyText}),
		"functionResponse": object(fields{"name!": someText, "response!": anyObject, "id": anyText,
			"parts": anyArray, "willContinue": anyBool, "scheduling": anyText}),
		"executableCode": anyObject, "codeExecutionResult": anyObject, "toolCall": anyObject, "toolResponse": anyObject,
		"thought": anyBool, "thoughtSignature": anyText, "videoMetadata": anyObject, "mediaResolution": anyObject,
		"partMetadata": anyObject, "audioTranscription": anyObject, "mediaProcessing": anyObject, "speechMetadata": anyObject,
	})
	// geminiData are the fields of which a part has exactly one.
	geminiData = []string{"text", "inlineData", "fileData", "functionCall", "functionResponse",
		"executableCode", "codeExecutionResult", "toolCall", "toolResponse"}

	geminiContent = object(fields{"role": oneOf("user", "model", "function"), "parts!": listOf(geminiPart, 1, 0)})
	geminiSystem  = object(fields{"role": anyText, "parts!": listOf(geminiPart, 1, 0)})

	geminiConfig = object(fields{
		"temperature": numberFrom(0, 2), "topP": numberFrom(0, 1), "topK": integerFrom(1, 1<<31), "seed": integerFrom(-1<<31, 1<<31-1),
		"candidateCount": integerFrom(1, 8), "maxOutputTokens": integerFrom(1, 1<<31), "stopSequences": listOf(someText, 0, 5),
		"presencePenalty": numberFrom(-2, 2), "frequencyPenalty": numberFrom(-2, 2),
		"responseLogprobs": anyBool, "logprobs": integerFrom(0, 20),
		"responseMimeType": oneOf("text/plain", "application/json", "text/x.enum"),
		"responseSchema":   anyObject, "responseJsonSchema": anyValue, "responseFormat": anyValue,
		"responseModalities": listOf(oneOf("TEXT", "IMAGE", "AUDIO", "MODALITY_UNSPECIFIED"), 0, 0),
		"mediaResolution":    anyText, "speechConfig": anyObject, "imageConfig": anyObject, "audioTimestamp": anyBool,
		"thinkingConfig":             object(fields{"includeThoughts": anyBool, "thinkingBudget": integerFrom(-1, 1<<20), "thinkingLevel": oneOf(levelsAll...)}),
		"enableEnhancedCivicAnswers": anyBool, "audioTranscriptionConfig": anyObject, "translationConfig": anyObject,
	})

	geminiTool = object(fields{
		"functionDeclarations": listOf(object(fields{"name!": textUpTo(128), "description": anyText, "parameters": anyObject,
			"parametersJsonSchema": anyValue, "response": anyObject, "responseJsonSchema": anyValue, "behavior": anyText}), 0, 0),
		"googleSearch": anyObject, "googleSearchRetrieval": anyObject, "googleMaps": anyObject, "codeExecution": anyObject,
		"urlContext": anyObject, "computerUse": anyObject, "fileSearch": anyObject, "mcpServers": anyArray,
	})

	geminiBody = object(fields{
		"contents!": listOf(geminiContent, 1, 0), "systemInstruction": geminiSystem, "generationConfig": geminiConfig, "model": anyText,
		"safetySettings": listOf(object(fields{"category!": anyText, "threshold!": anyText, "method": anyText}), 0, 0),
		"tools":          listOf(geminiTool, 0, 0),
		"toolConfig": object(fields{"retrievalConfig": anyObject, "includeServerSideToolInvocations": anyBool,
			"functionCallingConfig": object(fields{"mode": oneOf("MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"),
				"allowedFunctionNames": listOf(anyText, 0, 0), "streamFunctionCallArguments": anyBool})}),
		"cachedContent": anyText, "serviceTier": oneOf("unspecified", "standard", "flex", "priority"), "labels": &shape{kinds: kindObject, items: anyText}, "store": anyBool,
		"continuationToken": anyText,
	})
)

// geminiCountBody is a prompt, or a whole request, whose tokens shall be counted.
var geminiCountBody = object(fields{"contents": listOf(geminiContent, 1, 0), "generateContentRequest": geminiBody, "model": anyText})

const geminiModels = "v1beta/models"

// geminiTarget splits v1beta/models/MODEL:METHOD.
func geminiTarget(rest string) (model, method string) {
	model, ok := strings.CutPrefix(rest, geminiModels+"/")
	at := strings.LastIndexByte(model, ':')
	if !ok || at < 0 {
		return "", ""
	}
	return model[:at], model[at+1:]
}

func (geminiHearer) secret(h http.Header) string { return h.Get("X-Goog-Api-Key") }

func (geminiHearer) peek(r *http.Request, _ []byte) glance {
	model, method := geminiTarget(strings.TrimPrefix(r.URL.Path, "/"+Google+"/"))
	stream := method == "streamGenerateContent"
	return glance{model: model, stream: stream, array: stream && r.URL.Query().Get("alt") != "sse"}
}

func (geminiHearer) checkHeader(http.Header) *fault { return nil }

// geminiFault is a 400 that names a field.
func geminiFault(field, format string, args ...any) *fault {
	f := faultOf(Google, BadRequest, 0).saying(format, args...)
	f.invalid = field
	return f
}

// geminiField reads a field in either of the spellings that Google accepts: the shape check
// has let both pass.
func geminiField(v gjson.Result, path ...string) gjson.Result {
	for _, name := range path {
		inner := v.Get(name)
		if !inner.Exists() {
			inner = v.Get(snake(name))
		}
		v = inner
	}
	return v
}

func (geminiHearer) unreadable() *fault {
	return geminiFault("", "Invalid JSON payload received. Expected an object.")
}

func (g geminiHearer) read(r *http.Request, v gjson.Result, f *family) (*prompt, *fault) {
	if bad := (checker{nullIsAbsent: true, rename: camel}).check(v, geminiBody); bad != nil {
		return nil, geminiComplaint(bad)
	}
	config := geminiField(v, "generationConfig")
	if fault := g.checkModel(config, f); fault != nil {
		return nil, fault
	}
	return g.compose(r, v)
}

// count reads one of the two bodies whose tokens can be counted.
func (g geminiHearer) count(r *http.Request, v gjson.Result) (*prompt, *fault) {
	if bad := (checker{nullIsAbsent: true, rename: camel}).check(v, geminiCountBody); bad != nil {
		return nil, geminiComplaint(bad)
	}
	whole := geminiField(v, "generateContentRequest")
	switch {
	case given(whole) == given(v.Get("contents")):
		return nil, geminiFault("contents", "Exactly one of contents and generate_content_request must be set.")
	case given(whole):
		v = whole
	}
	return g.compose(r, v)
}

// trafficTypes are how Google reports the tiers that can be asked for; unasked, it reports none.
var trafficTypes = map[string]string{"standard": "ON_DEMAND", "flex": "ON_DEMAND_FLEX", "priority": "ON_DEMAND_PRIORITY"}

func (g geminiHearer) compose(r *http.Request, v gjson.Result) (*prompt, *fault) {
	config := geminiField(v, "generationConfig")
	seen := g.peek(r, nil)
	p := &prompt{
		model: seen.model, stream: seen.stream, limit: -1, choices: 1,
		silentRefusal: true, signsCalls: signsCalls(seen.model),
		seal:         newSealer(Google, g.secret(r.Header), seen.model),
		stops:        words(geminiField(config, "stopSequences")),
		showThoughts: geminiField(config, "thinkingConfig", "includeThoughts").Bool(),
		tier:         trafficTypes[geminiField(v, "serviceTier").Str],
	}
	if n := geminiField(config, "candidateCount"); given(n) {
		p.choices = int(n.Int())
	}
	if limit := geminiField(config, "maxOutputTokens"); given(limit) {
		p.limit = int(limit.Int())
	}
	if fault := g.readTools(v, config, p); fault != nil {
		return nil, fault
	}
	if system := geminiField(v, "systemInstruction"); given(system) {
		p.messages++
		if fault := g.readParts(system, "systemInstruction", p, &geminiTurn{}); fault != nil {
			return nil, fault
		}
	}
	return p, g.readContents(v.Get("contents"), p)
}

// checkModel refuses what this model does not take, and what contradicts itself.
func (geminiHearer) checkModel(config gjson.Result, f *family) *fault {
	budget := geminiField(config, "thinkingConfig", "thinkingBudget")
	level := geminiField(config, "thinkingConfig", "thinkingLevel")
	limit := geminiField(config, "maxOutputTokens")
	schema, jsonSchema := geminiField(config, "responseSchema"), geminiField(config, "responseJsonSchema")
	switch {
	case given(budget) && given(level):
		return geminiFault("generation_config.thinking_config", "You can only set only one of thinking budget and thinking level.")
	case given(budget) && f.noBudget:
		return geminiFault("generation_config.thinking_config", "Thinking budget is not supported for this model.")
	case given(level) && f.levels != nil && !slices.Contains(f.levels, level.Str):
		return geminiFault("generation_config.thinking_config", "Thinking level %s is not supported for this model.", level.Str)
	case f.maxOutput > 0 && limit.Num > float64(f.maxOutput):
		return geminiFault("generation_config.max_output_tokens", "Unable to submit request because it has a maxOutputTokens value of %s but the supported range is from 1 (inclusive) to %d (exclusive). Update the value and try again.", limit.Raw, f.maxOutput+1)
	case given(schema) && given(jsonSchema):
		return geminiFault("generation_config", "Only one of response_schema and response_json_schema can be set.")
	case (given(schema) || given(jsonSchema)) && geminiField(config, "responseMimeType").Str == "":
		return geminiFault("generation_config", "* GenerateContentRequest.generation_config.response_schema: only allowed when response_mime_type is application/json\n")
	}
	return nil
}

package http

import (
	"cmp"
	"encoding/base64"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"waybill/ledger"
	"waybill/router"
)

// modelQuery is what clients ask of a list: Anthropic's limit, after_id and before_id, Gemini's pageSize and pageToken.
// OpenAI's list has no pages.
type modelQuery struct {
	Limit     int    `query:"limit" doc:"Anthropic: how many at the most, 1 to 1000; 20 if not given"`
	AfterID   string `query:"after_id" doc:"Anthropic: those after this one"`
	BeforeID  string `query:"before_id" doc:"Anthropic: those before this one"`
	PageSize  int    `query:"pageSize" doc:"Gemini: how many at the most, 1 to 1000; 50 if not given"`
	PageToken string `query:"pageToken" doc:"Gemini: the nextPageToken of the page before"`
}

func modelRoutes() []route {
	list := func(path, summary string) route {
		return route{method: http.MethodGet, path: path, summary: summary, who: inference, status: http.StatusOK,
			in: reflect.TypeFor[modelQuery](), out: reflect.TypeFor[modelList](), serve: (*Server).listModels}
	}
	one := func(path, summary string) route {
		return route{method: http.MethodGet, path: path, summary: summary, who: inference, status: http.StatusOK,
			out: reflect.TypeFor[modelRow](), serve: (*Server).showModel}
	}
	return []route{
		list("/v1/models", "The models that the key reaches, and auto; with anthropic-version, in Anthropic's shape"),
		one("/v1/models/{model:.+}", "One of the models that the key reaches"),
		list("/v1beta/models", "The models that the key reaches, and auto, in Gemini's shape"),
		one("/v1beta/models/{model:.+}", "One of the models that the key reaches, in Gemini's shape"),
	}
}

// modelRow is a model as OpenAI's clients know one.
type modelRow struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"` // seconds since 1970, of the price in force, without one of the credential that answers; of auto the latest of its models'
	OwnedBy string `json:"owned_by"`

	Waybill answering `json:"waybill"` // in each dialect's shape
}

type modelList struct {
	Object string     `json:"object"`
	Data   []modelRow `json:"data"`
}

// listing is how a dialect shows models.
type listing struct {
	one func(reached) any
	// list shows one page of them; the query is the caller's.
	list func(all []reached, q func(string) string) (any, *router.Failure)
}

// listings are the dialects' ways. What callers of Responses list is OpenAI's.
var listings = map[ledger.Dialect]listing{
	ledger.DialectOpenAIChat:        {openaiModel, openaiModels},
	ledger.DialectAnthropicMessages: {anthropicModel, anthropicModels},
	ledger.DialectGemini:            {geminiModel, geminiModels},
}

func (s *Server) listModels(c *call, w http.ResponseWriter) {
	models, ok := s.modelsOf(c, w)
	if !ok {
		return
	}
	page, f := listings[spokenAt(c.r)].list(models, c.r.URL.Query().Get)
	if f != nil {
		s.lost(w, c.r, *f)
		return
	}
	writeJSON(w, http.StatusOK, page)
}

func (s *Server) showModel(c *call, w http.ResponseWriter) {
	models, ok := s.modelsOf(c, w)
	if !ok {
		return
	}
	name := c.vars["model"]
	if !slices.ContainsFunc(models, func(m reached) bool { return m.asked == name }) { // nor is it an alias
		s.o.Books.View(func(st *ledger.State) {
			if m := st.Model(name); m != nil {
				name = m.Name
			}
		})
	}
	for _, m := range models {
		if m.asked == name {
			writeJSON(w, http.StatusOK, listings[spokenAt(c.r)].one(m))
			return
		}
	}
	s.lost(w, c.r, router.Failure{Status: http.StatusNotFound, Code: string(ledger.CodeUnknownModel), Field: "model",
		Message: "model \"" + c.vars["model"] + "\" is unknown, or this key does not reach it: see GET " + strings.TrimSuffix(c.r.URL.Path, "/"+c.vars["model"])})
}

func openaiModel(m reached) any {
	return modelRow{ID: m.asked, Object: "model", Created: m.since.Time().Unix(), OwnedBy: m.Provider, Waybill: m.by}
}

func openaiModels(all []reached, _ func(string) string) (any, *router.Failure) {
	l := modelList{Object: "list", Data: []modelRow{}}
	for _, m := range all {
		l.Data = append(l.Data, openaiModel(m).(modelRow))
	}
	return l, nil
}

// anthropicModel is a model as Anthropic's clients know one: https://platform.claude.com/docs/en/api/models-list.
func anthropicModel(m reached) any {
	return map[string]any{"type": "model", "id": m.asked, "display_name": m.asked, "created_at": m.since.Time().UTC().Format(time.RFC3339),
		"max_input_tokens": told(m.Context), "max_tokens": told(m.MaxOutput), "waybill": m.by}
}

// told is a number of tokens, or null where the catalogue does not say it.
func told(n int64) *int64 {
	if n == 0 {
		return nil
	}
	return &n
}

func anthropicModels(all []reached, q func(string) string) (any, *router.Failure) {
	size, f := pageSize(q, "limit", 20)
	if f != nil {
		return nil, f
	}
	from, to := 0, len(all)
	place := func(field string) int {
		return slices.IndexFunc(all, func(m reached) bool { return m.asked == q(field) })
	}
	switch {
	case q("after_id") != "":
		if from = place("after_id") + 1; from == 0 {
			return nil, badQuery("after_id", "is not the id of a model in the list")
		}
		to = min(to, from+size)
	case q("before_id") != "":
		if to = place("before_id"); to < 0 {
			return nil, badQuery("before_id", "is not the id of a model in the list")
		}
		from = max(0, to-size)
	default:
		to = min(to, size)
	}
	more := to < len(all)
	if q("before_id") != "" {
		more = from > 0
	}
	data := []any{}
	for _, m := range all[from:to] {
		data = append(data, anthropicModel(m))
	}
	page := map[string]any{"data": data, "has_more": more, "first_id": nil, "last_id": nil}
	if from < to {
		page["first_id"], page["last_id"] = all[from].asked, all[to-1].asked
	}
	return page, nil
}

// geminiModel is a model as Gemini's clients know one: https://ai.google.dev/api/models.
func geminiModel(m reached) any {
	methods := []string{"generateContent", "streamGenerateContent", "countTokens"}
	if !m.Has(ledger.FeatureChat) {
		methods = []string{"embedContent", "batchEmbedContents"}
	}
	row := map[string]any{"name": "models/" + m.asked, "baseModelId": cmp.Or(m.ID, m.Name), "version": "", "displayName": m.asked,
		"supportedGenerationMethods": methods, "thinking": m.Has(ledger.FeatureReasoning), "waybill": m.by}
	for field, n := range map[string]int64{"inputTokenLimit": m.Context, "outputTokenLimit": m.MaxOutput} {
		if n > 0 { // else the catalogue does not say it
			row[field] = n
		}
	}
	return row
}

func geminiModels(all []reached, q func(string) string) (any, *router.Failure) {
	size, f := pageSize(q, "pageSize", 50)
	if f != nil {
		return nil, f
	}
	from := 0
	if token := q("pageToken"); token != "" {
		last, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			return nil, badQuery("pageToken", "is not the nextPageToken of a page")
		}
		from = slices.IndexFunc(all, func(m reached) bool { return m.asked == string(last) }) + 1
		if from == 0 {
			return nil, badQuery("pageToken", "is of a list that has changed since: begin again without one")
		}
	}
	to := min(len(all), from+size)
	models := []any{}
	for _, m := range all[from:to] {
		models = append(models, geminiModel(m))
	}
	page := map[string]any{"models": models}
	if to < len(all) {
		page["nextPageToken"] = base64.RawURLEncoding.EncodeToString([]byte(all[to-1].asked))
	}
	return page, nil
}

// maxPage bounds a page of models, as both providers do.
const maxPage = 1000

func pageSize(q func(string) string, field string, otherwise int) (int, *router.Failure) {
	text := q(field)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPage {
		return 0, badQuery(field, "must be a whole number from 1 to "+strconv.Itoa(maxPage))
	}
	return n, nil
}

func badQuery(field, reason string) *router.Failure {
	return router.FailureOf(&router.FieldError{Field: field, Reason: reason})
}

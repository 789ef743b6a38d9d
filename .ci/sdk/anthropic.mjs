// The @anthropic-ai/sdk package.
import Anthropic from "@anthropic-ai/sdk";
import { tools } from "./scenarios.mjs";

const client = (url, key) => new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0 });

export const errors = {
  refused: (e) => ({ status: e.status, code: e.error?.error?.code, kind: e.constructor.name }),
  kinds: { 400: "BadRequestError", 401: "AuthenticationError", 402: "APIError", 403: "PermissionDeniedError", 404: "NotFoundError", 429: "RateLimitError", 502: "InternalServerError" },
};

export function messages(url, key) {
  const c = client(url, key);
  return async (q) => {
    const body = { model: q.model, max_tokens: q.cap, messages: [] };
    for (const t of q.turns) {
      if (t.said) {
        body.messages.push(t.said);
        continue;
      }
      const content = (t.results ?? []).map((r) => ({ type: "tool_result", tool_use_id: r.id, content: r.text }));
      if (t.image) content.push({ type: "image", source: { type: "base64", media_type: "image/png", data: t.image.toString("base64") } });
      if (t.text) content.push({ type: "text", text: t.text });
      body.messages.push({ role: "user", content });
    }
    if (q.system) body.system = q.system;
    if (q.tools) body.tools = q.tools.map((name) => ({ name, input_schema: tools[name] }));
    if (q.choice) body.tool_choice = q.choice === "none" ? { type: "none" } : q.choice === "required" ? { type: "any" } : { type: "tool", name: q.choice };
    if (q.schema) body.output_config = { format: { type: "json_schema", schema: q.schema } };
    if (q.think) body.thinking = { type: "adaptive", display: "summarized" };
    let pieces, whole;
    if (q.stream) {
      pieces = 0;
      const stream = c.messages.stream(body);
      stream.on("text", () => pieces++);
      whole = await stream.finalMessage();
    } else {
      whole = await c.messages.create(body);
    }
    const of = (type) => whole.content.filter((b) => b.type === type);
    const u = whole.usage;
    return {
      text: of("text").map((b) => b.text).join(""), thoughts: of("thinking").map((b) => b.thinking).join(""), pieces,
      calls: of("tool_use").map((b) => ({ id: b.id, name: b.name, args: b.input })), said: { role: "assistant", content: whole.content },
      finish: { end_turn: "stop", max_tokens: "length", tool_use: "tool" }[whole.stop_reason],
      usage: { input: u.input_tokens + u.cache_read_input_tokens + u.cache_creation_input_tokens, cached: u.cache_read_input_tokens, output: u.output_tokens, reasoning: u.output_tokens_details?.thinking_tokens },
    };
  };
}

// lists gives the ids of the models, over several pages, and a count of tokens.
export async function lists(url, key) {
  const c = client(url, key), ids = [];
  for await (const m of c.models.list({ limit: 7 })) ids.push(m.id);
  const { input_tokens } = await c.messages.countTokens({ model: "google/gemini-2.5-flash-lite", messages: [{ role: "user", content: "How many tokens are these?" }] });
  return { ids, tokens: input_tokens };
}

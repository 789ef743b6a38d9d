// The openai package, in both of OpenAI's dialects.
import OpenAI from "openai";
import { tools } from "./scenarios.mjs";

const dataURL = (image) => `data:image/png;base64,${image.toString("base64")}`;
const client = (url, key) => new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });

// plain leaves out what this package's helpers for streams add to an answer, and the API does not take back.
const plain = (item) => JSON.parse(JSON.stringify(item, (key, value) => (["parsed", "parsed_arguments"].includes(key) ? undefined : value)));

export const errors = {
  refused: (e) => ({ status: e.status, code: e.code, kind: e.constructor.name }),
  kinds: { 400: "BadRequestError", 401: "AuthenticationError", 402: "APIError", 403: "PermissionDeniedError", 404: "NotFoundError", 429: "RateLimitError", 502: "InternalServerError" },
};

export function chat(url, key) {
  const c = client(url, key);
  return async (q) => {
    const messages = q.system ? [{ role: "system", content: q.system }] : [];
    for (const t of q.turns) {
      if (t.said) messages.push(t.said);
      for (const r of t.results ?? []) messages.push({ role: "tool", tool_call_id: r.id, content: r.text });
      if (t.text) messages.push({ role: "user", content: t.image ? [{ type: "text", text: t.text }, { type: "image_url", image_url: { url: dataURL(t.image) } }] : t.text });
    }
    const body = { model: q.model, messages, max_completion_tokens: q.cap };
    if (q.tools) body.tools = q.tools.map((name) => ({ type: "function", function: { name, parameters: tools[name], strict: true } }));
    if (q.choice) body.tool_choice = ["none", "required"].includes(q.choice) ? q.choice : { type: "function", function: { name: q.choice } };
    if (q.schema) body.response_format = { type: "json_schema", json_schema: { name: "person", schema: q.schema, strict: true } };
    if (q.think) body.reasoning_effort = "medium";
    let pieces, whole;
    if (q.stream) {
      pieces = 0;
      const stream = c.chat.completions.stream({ ...body, stream_options: { include_usage: true } });
      stream.on("content.delta", () => pieces++);
      whole = await stream.finalChatCompletion();
    } else {
      whole = await c.chat.completions.create(body);
    }
    const [{ message, finish_reason }] = whole.choices;
    const u = whole.usage;
    return {
      text: message.content ?? "", thoughts: "", said: plain(message), pieces,
      calls: (message.tool_calls ?? []).map((t) => ({ id: t.id, name: t.function.name, args: JSON.parse(t.function.arguments) })),
      finish: { stop: "stop", length: "length", tool_calls: "tool" }[finish_reason],
      usage: { input: u.prompt_tokens, cached: u.prompt_tokens_details.cached_tokens, output: u.completion_tokens, reasoning: u.completion_tokens_details.reasoning_tokens },
    };
  };
}

export function responses(url, key) {
  const c = client(url, key);
  return async (q) => {
    const input = [];
    for (const t of q.turns) {
      if (t.said) input.push(...t.said);
      for (const r of t.results ?? []) input.push({ type: "function_call_output", call_id: r.id, output: r.text });
      if (t.text) input.push({ role: "user", content: t.image ? [{ type: "input_text", text: t.text }, { type: "input_image", image_url: dataURL(t.image), detail: "auto" }] : t.text });
    }
    const body = { model: q.model, input, max_output_tokens: q.cap };
    if (q.system) body.instructions = q.system;
    if (q.tools) body.tools = q.tools.map((name) => ({ type: "function", name, parameters: tools[name], strict: true }));
    if (q.choice) body.tool_choice = ["none", "required"].includes(q.choice) ? q.choice : { type: "function", name: q.choice };
    if (q.schema) body.text = { format: { type: "json_schema", name: "person", schema: q.schema, strict: true } };
    if (q.think) body.reasoning = { effort: "medium", summary: "auto" };
    let pieces, whole;
    if (q.stream) {
      pieces = 0;
      const stream = c.responses.stream(body);
      stream.on("response.output_text.delta", () => pieces++);
      whole = await stream.finalResponse();
    } else {
      whole = await c.responses.create(body);
    }
    if (whole.status === "failed") throw new Error(whole.error.message);
    const calls = whole.output.filter((i) => i.type === "function_call").map((i) => ({ id: i.call_id, name: i.name, args: JSON.parse(i.arguments) }));
    const u = whole.usage;
    return {
      text: whole.output_text, calls, said: whole.output.map(plain), pieces,
      thoughts: whole.output.filter((i) => i.type === "reasoning").flatMap((i) => i.summary.map((s) => s.text)).join(""),
      finish: calls.length ? "tool" : whole.status === "completed" ? "stop" : whole.incomplete_details.reason === "max_output_tokens" ? "length" : whole.incomplete_details.reason,
      usage: { input: u.input_tokens, cached: u.input_tokens_details.cached_tokens, output: u.output_tokens, reasoning: u.output_tokens_details.reasoning_tokens },
    };
  };
}

// lists gives the ids of the models, and a text's vector.
export async function lists(url, key) {
  const c = client(url, key), ids = [];
  for await (const m of c.models.list()) ids.push(m.id);
  const { data } = await c.embeddings.create({ model: "openai/text-embedding-3-small", input: ["Grüße"], dimensions: 64 });
  return { ids, vector: data[0].embedding };
}

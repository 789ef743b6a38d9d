// LangChain, with its packages for OpenAI, Anthropic and Google.
import { ChatAnthropic } from "@langchain/anthropic";
import { HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import { concat } from "@langchain/core/utils/stream";
import { ChatGoogleGenerativeAI } from "@langchain/google-genai";
import { ChatOpenAI } from "@langchain/openai";
import { tools } from "./scenarios.mjs";

export const errors = {
  refused: (e) => ({ status: e.status, kind: "error", code: e.code ?? e.error?.error?.code ?? e.errorDetails?.find((d) => d.reason)?.metadata.code }),
  kinds: { 400: "error", 401: "error", 402: "error", 403: "error", 404: "error", 429: "error", 502: "error" },
};

export const chat = (url, key) =>
  asking((q) => new ChatOpenAI({ model: q.model, apiKey: key, maxRetries: 0, maxTokens: q.cap, streamUsage: true, configuration: { baseURL: `${url}/v1` }, useResponsesApi: false }));
export const responses = (url, key) =>
  asking((q) => new ChatOpenAI({ model: q.model, apiKey: key, maxRetries: 0, maxTokens: q.cap, configuration: { baseURL: `${url}/v1` }, useResponsesApi: true, zdrEnabled: true }));
export const messages = (url, key) =>
  asking((q) => new ChatAnthropic({ model: q.model, apiKey: key, maxRetries: 0, maxTokens: q.cap, anthropicApiUrl: url, ...(q.think && { thinking: { type: "adaptive", display: "summarized" } }) }));
export const content = (url, key) =>
  asking((q) => new ChatGoogleGenerativeAI({ model: q.model, apiKey: key, maxRetries: 0, maxOutputTokens: q.cap, baseUrl: url, ...(q.think && { thinkingConfig: { includeThoughts: true } }) }));

function asking(of) {
  return async (q) => {
    const turns = q.system ? [new SystemMessage(q.system)] : [];
    for (const t of q.turns) {
      if (t.said) turns.push(t.said);
      for (const r of t.results ?? []) turns.push(new ToolMessage({ content: r.text, tool_call_id: r.id, name: r.name }));
      if (t.text) turns.push(new HumanMessage({ content: [{ type: "text", text: t.text }, ...(t.image ? [{ type: "image_url", image_url: { url: `data:image/png;base64,${t.image.toString("base64")}` } }] : [])] }));
    }
    let model = of(q);
    if (q.tools) model = model.bindTools(q.tools.map((name) => ({ type: "function", function: { name, description: "It tells.", parameters: tools[name] } })), q.choice ? { tool_choice: q.choice === "required" ? "any" : q.choice } : {});
    if (q.schema) {
      const answer = await model.withStructuredOutput(q.schema, { name: "person", method: "jsonSchema" }).invoke(turns);
      return { text: JSON.stringify(answer) };
    }
    let whole, pieces;
    if (q.stream) {
      pieces = 0;
      for await (const chunk of await model.stream(turns)) {
        if (chunk.text) pieces++;
        whole = whole ? concat(whole, chunk) : chunk;
      }
    } else {
      whole = await model.invoke(turns);
    }
    const u = whole.usage_metadata, said = whole.response_metadata;
    const reason = said.finish_reason ?? said.finishReason ?? said.stop_reason ?? whole.additional_kwargs.stop_reason ?? said.incomplete_details?.reason ?? said.status;
    return {
      text: whole.text, thoughts: "", said: whole, pieces, calls: whole.tool_calls.map((c) => ({ id: c.id, name: c.name, args: c.args })),
      finish: whole.tool_calls.length ? "tool" : { stop: "stop", length: "length", STOP: "stop", MAX_TOKENS: "length", end_turn: "stop", max_tokens: "length", completed: "stop", max_output_tokens: "length" }[reason],
      usage: { input: u?.input_tokens, cached: u?.input_token_details?.cache_read, output: u?.output_tokens, reasoning: u?.output_token_details?.reasoning },
    };
  };
}

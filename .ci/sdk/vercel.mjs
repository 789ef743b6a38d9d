// The ai package with its providers for OpenAI, Anthropic and Google.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, generateText, jsonSchema, Output, streamText, tool } from "ai";
import { tools } from "./scenarios.mjs";

export const errors = {
  refused: (e) => ({ status: e.statusCode, kind: APICallError.isInstance(e) ? "APICallError" : e.constructor.name, code: codeIn(JSON.parse(e.responseBody).error) }),
  kinds: { 400: "APICallError", 401: "APICallError", 402: "APICallError", 403: "APICallError", 404: "APICallError", 429: "APICallError", 502: "APICallError" },
};

// codeIn is the class of an error in whichever dialect it came: Gemini's code is the status.
const codeIn = (error) => (typeof error.code === "string" ? error.code : error.details?.find((d) => d.reason)?.metadata.code);

export const chat = (url, key) => asking((model) => createOpenAI({ baseURL: `${url}/v1`, apiKey: key }).chat(model), { openai: { reasoningEffort: "medium", forceReasoning: true } });
// Unless it is told to store nothing, this provider brings back the ids of what it takes to be stored.
export const responses = (url, key) =>
  asking((model) => createOpenAI({ baseURL: `${url}/v1`, apiKey: key }).responses(model), { openai: { reasoningEffort: "medium", reasoningSummary: "auto", forceReasoning: true, store: false } }, { openai: { store: false } });
export const messages = (url, key) => asking((model) => createAnthropic({ baseURL: `${url}/v1`, apiKey: key })(model), { anthropic: { thinking: { type: "adaptive", display: "summarized" } } });
export const content = (url, key) =>
  asking((model) => createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey: key })(model), { google: { thinkingConfig: { includeThoughts: true } } });

function asking(of, thinking, always) {
  return async (q) => {
    const messages = [];
    for (const t of q.turns) {
      if (t.said) messages.push(...t.said);
      if (t.results) messages.push({ role: "tool", content: t.results.map((r) => ({ type: "tool-result", toolCallId: r.id, toolName: r.name, output: { type: "text", value: r.text } })) });
      if (t.text) messages.push({ role: "user", content: [{ type: "text", text: t.text }, ...(t.image ? [{ type: "image", image: t.image, mediaType: "image/png" }] : [])] });
    }
    const call = { model: of(q.model), messages, system: q.system, maxOutputTokens: q.cap, maxRetries: 0 };
    if (q.tools) call.tools = Object.fromEntries(q.tools.map((name) => [name, tool({ inputSchema: jsonSchema(tools[name]), strict: true })]));
    if (q.choice) call.toolChoice = ["none", "required"].includes(q.choice) ? q.choice : { type: "tool", toolName: q.choice };
    if (q.schema) call.output = Output.object({ schema: jsonSchema(q.schema) });
    call.providerOptions = q.think ? thinking : always;
    let r, pieces;
    if (q.stream) {
      let failed;
      pieces = 0;
      r = streamText({ ...call, onError: ({ error }) => (failed = error) });
      for await (const part of r.fullStream) {
        if (part.type === "text-delta") pieces++;
        if (part.type === "error") failed = part.error;
      }
      if (failed) throw failed;
    } else {
      r = await generateText(call);
    }
    const [text, reasoning, calls, finish, usage, response] = await Promise.all([r.text, r.reasoningText, r.toolCalls, r.finishReason, r.totalUsage, r.response]);
    return {
      text, thoughts: reasoning ?? "", said: response.messages, pieces, calls: calls.map((c) => ({ id: c.toolCallId, name: c.toolName, args: c.input })),
      finish: { stop: "stop", length: "length", "tool-calls": "tool" }[finish],
      usage: { input: usage.inputTokens, cached: usage.inputTokenDetails.cacheReadTokens, output: usage.outputTokens, reasoning: usage.outputTokenDetails.reasoningTokens },
    };
  };
}

// The @google/genai package.
import { GoogleGenAI } from "@google/genai";
import { tools } from "./scenarios.mjs";

const client = (url, key) => new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: url } });

export const errors = {
  refused: (e) => ({ status: e.status, code: JSON.parse(e.message).error.details.find((d) => d.reason)?.metadata.code, kind: e.constructor.name }),
  kinds: { 400: "ApiError", 401: "ApiError", 402: "ApiError", 403: "ApiError", 404: "ApiError", 429: "ApiError", 502: "ApiError" },
};

export function content(url, key) {
  const c = client(url, key);
  return async (q) => {
    const contents = [];
    for (const t of q.turns) {
      if (t.said) {
        contents.push(t.said);
        continue;
      }
      const parts = (t.results ?? []).map((r) => ({ functionResponse: { id: r.id, name: r.name, response: { output: r.text } } }));
      if (t.text) parts.push({ text: t.text });
      if (t.image) parts.push({ inlineData: { mimeType: "image/png", data: t.image.toString("base64") } });
      contents.push({ role: "user", parts });
    }
    const config = { maxOutputTokens: q.cap };
    if (q.system) config.systemInstruction = q.system;
    if (q.tools) config.tools = [{ functionDeclarations: q.tools.map((name) => ({ name, parametersJsonSchema: tools[name] })) }];
    if (q.choice) {
      const forced = q.choice === "none" ? { mode: "NONE" } : q.choice === "required" ? { mode: "ANY" } : { mode: "ANY", allowedFunctionNames: [q.choice] };
      config.toolConfig = { functionCallingConfig: forced };
    }
    if (q.schema) Object.assign(config, { responseMimeType: "application/json", responseJsonSchema: q.schema });
    if (q.think) config.thinkingConfig = { includeThoughts: true };
    const all = [];
    if (q.stream) {
      for await (const r of await c.models.generateContentStream({ model: q.model, contents, config })) all.push(r);
    } else {
      all.push(await c.models.generateContent({ model: q.model, contents, config }));
    }
    const candidates = all.flatMap((r) => r.candidates ?? []);
    const parts = candidates.flatMap((x) => x.content?.parts ?? []);
    const said = parts.filter((p) => p.text && !p.thought);
    const calls = parts.filter((p) => p.functionCall).map(({ functionCall: f }) => ({ id: f.id, name: f.name, args: f.args }));
    const reason = candidates.map((x) => x.finishReason).filter(Boolean).at(-1);
    if (!reason) throw new Error("the answer has no finish reason");
    const u = all.map((r) => r.usageMetadata).filter(Boolean).at(-1);
    return {
      text: said.map((p) => p.text).join(""), thoughts: parts.filter((p) => p.thought).map((p) => p.text).join(""), calls, said: { role: "model", parts },
      pieces: q.stream ? said.length : undefined, finish: calls.length ? "tool" : { STOP: "stop", MAX_TOKENS: "length" }[reason],
      usage: { input: u.promptTokenCount, cached: u.cachedContentTokenCount, output: (u.candidatesTokenCount ?? 0) + (u.thoughtsTokenCount ?? 0), reasoning: u.thoughtsTokenCount },
    };
  };
}

// lists gives the ids of the models, over several pages, a text's vector, and a count of tokens.
export async function lists(url, key) {
  const c = client(url, key), ids = [];
  for await (const m of await c.models.list({ config: { pageSize: 7 } })) ids.push(m.name.replace("models/", ""));
  const { embeddings } = await c.models.embedContent({ model: "openai/text-embedding-3-small", contents: ["Grüße"], config: { outputDimensionality: 64 } });
  const { totalTokens } = await c.models.countTokens({ model: "google/gemini-2.5-flash-lite", contents: "How many tokens are these?" });
  return { ids, vector: embeddings[0].values, tokens: totalTokens };
}

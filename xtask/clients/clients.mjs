// The official Node client against a running `baton serve`: models, whole and streamed replies, tools, errors.
import assert from "node:assert/strict";
import OpenAI from "openai";

const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const ask = (content, more = {}) => ({ model: "balanced", messages: [{ role: "user", content }], ...more });
const tools = [{
  type: "function",
  function: { name: "get_weather", parameters: { type: "object", properties: { city: { type: "string" } } } },
}];

const models = [];
for await (const model of client.models.list()) models.push(model.id);
assert.ok(models.includes("gpt-4"), models.join(", "));

const whole = await client.chat.completions.create(ask("Hi"));
assert.equal(whole.choices[0].message.content, "Hello from Baton.");
assert.equal(whole.usage.total_tokens, 15);

let text = "", usage = null;
for await (const chunk of await client.chat.completions.create(
  ask("Hi", { stream: true, stream_options: { include_usage: true } }))) {
  text += chunk.choices[0]?.delta?.content ?? "";
  usage = chunk.usage ?? usage;
}
assert.equal(text, "Hello from Baton.");
assert.equal(usage.completion_tokens, 4);

const called = await client.chat.completions.create(ask("How is the weather?", { tools }));
const call = called.choices[0].message.tool_calls[0];
assert.equal(called.choices[0].finish_reason, "tool_calls");
assert.deepEqual([call.function.name, JSON.parse(call.function.arguments)], ["get_weather", { city: "Madrid" }]);

const streamed = client.chat.completions.stream(ask("How is the weather?", { tools }));
const last = (await streamed.finalChatCompletion()).choices[0];
assert.equal(last.message.tool_calls[0].function.name, "get_weather");

// A workflow as a model: it asks, it is answered, and it is one run.
const clerk = { model: "workflow:clerk" };
assert.ok(models.includes(clerk.model), models.join(", "));
const hello = { role: "user", content: "I want to come" };
const asks = await client.chat.completions.create({ ...clerk, messages: [hello] }).withResponse();
const question = asks.data.choices[0].message;
assert.equal(question.content, "Which slot suits you?");
let booked = "";
const goesOn = await client.chat.completions.create({
  ...clerk, stream: true, messages: [hello, question, { role: "user", content: "10:00" }],
}).withResponse();
for await (const chunk of goesOn.data) booked += chunk.choices[0]?.delta?.content ?? "";
assert.equal(booked, "Booked for 10:00.");
assert.equal(goesOn.response.headers.get("x-baton-execution"), asks.response.headers.get("x-baton-execution"));

// Vectors: the client asks for their bytes unless told.
const embedder = models.find((id) => id.startsWith("builtin"));
const vectors = await client.embeddings.create({ model: embedder, input: ["a red bicycle", "a blue car"] });
const numbers = await client.embeddings.create({ model: embedder, input: "a red bicycle", encoding_format: "float" });
assert.deepEqual(vectors.data.map((one) => one.index), [0, 1]);
assert.equal(numbers.data[0].embedding.length, vectors.data[0].embedding.length);
assert.ok(numbers.data[0].embedding.every((number, place) => Math.abs(number - vectors.data[0].embedding[place]) < 1e-6));

// Responses: whole, streamed, with a tool, and with what was said before.
const functions = [{ type: "function", ...tools[0].function, strict: false }];
const respond = (input, more = {}) => client.responses.create({ model: "balanced", input, ...more });
const brief = await respond("Hi", { instructions: "Be brief." });
assert.deepEqual([brief.output_text, brief.status, brief.usage.total_tokens], ["Hello from Baton.", "completed", 15]);
const calling = (await respond("How is the weather?", { tools: functions })).output;
assert.deepEqual([calling[0].type, calling[0].name], ["function_call", "get_weather"]);
const before = [
  { role: "user", content: "Look at the sky." }, ...calling,
  { type: "function_call_output", call_id: calling[0].call_id, output: "sunny" }, { role: "user", content: "Thanks" },
];
assert.equal((await respond(before, { tools: functions })).output_text, "Hello from Baton.");
const telling = client.responses.stream({ model: "balanced", input: "Hi" });
let told = "";
telling.on("response.output_text.delta", (event) => { told += event.delta; });
assert.equal((await telling.finalResponse()).output_text, "Hello from Baton.");
assert.equal(told, "Hello from Baton.");
const callingLive = client.responses.stream({ model: "balanced", input: "The weather?", tools: functions });
assert.equal((await callingLive.finalResponse()).output[0].name, "get_weather");
assert.equal((await respond("I want to come", { ...clerk, user: "ana" })).output_text, question.content);

const stranger = new OpenAI({ baseURL, apiKey: "baton_wrong", maxRetries: 0 });
await assert.rejects(stranger.chat.completions.create(ask("Hi")), OpenAI.AuthenticationError);
await assert.rejects(client.chat.completions.create(ask("Hi", { n: 2 })), OpenAI.BadRequestError);
console.log("the Node client is content");

"""The official Python client against a running `baton serve`: models, whole and streamed replies, tools, errors."""

import json
import sys

import openai

base_url, api_key = sys.argv[1:3]
client = openai.OpenAI(base_url=base_url, api_key=api_key, max_retries=0)
TOOLS = [
    {
        "type": "function",
        "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
]


def ask(content, **more):
    return client.chat.completions.create(model="balanced", messages=[{"role": "user", "content": content}], **more)


assert "gpt-4" in [model.id for model in client.models.list()]

whole = ask("Hi")
assert whole.choices[0].message.content == "Hello from Baton.", whole
assert whole.usage.total_tokens == 15, whole.usage

text, usage = "", None
for chunk in ask("Hi", stream=True, stream_options={"include_usage": True}):
    text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    usage = chunk.usage or usage
assert (text, usage.completion_tokens) == ("Hello from Baton.", 4), (text, usage)

called = ask("How is the weather?", tools=TOOLS).choices[0]
call = called.message.tool_calls[0].function
assert (called.finish_reason, call.name, json.loads(call.arguments)) == ("tool_calls", "get_weather", {"city": "Madrid"})

# A workflow as a model: it asks, it is answered, and it is one run.
hello = {"role": "user", "content": "I want to come"}
talk = client.chat.completions.with_raw_response.create
asks = talk(model="workflow:clerk", messages=[hello])
question = asks.parse().choices[0].message.content
assert question == "Which slot suits you?", question
said = [hello, {"role": "assistant", "content": question}, {"role": "user", "content": "10:00"}]
booked = talk(model="workflow:clerk", messages=said)
assert booked.parse().choices[0].message.content == "Booked for 10:00."
assert booked.headers["x-baton-execution"] == asks.headers["x-baton-execution"]

# Vectors: the client asks for their bytes unless told.
embedder = next(model.id for model in client.models.list() if model.id.startswith("builtin"))
vectors = client.embeddings.create(model=embedder, input=["a red bicycle", "a blue car"])
numbers = client.embeddings.create(model=embedder, input="a red bicycle", encoding_format="float")
assert [one.index for one in vectors.data] == [0, 1] and vectors.usage.total_tokens > 0, vectors
assert len(numbers.data[0].embedding) == len(vectors.data[0].embedding)
assert all(abs(a - b) < 1e-6 for a, b in zip(numbers.data[0].embedding, vectors.data[0].embedding))

# Responses: whole, streamed, with a tool, and with what was said before.
FUNCTIONS = [{"type": "function", **TOOLS[0]["function"], "strict": False}]
response = client.responses.create(model="balanced", input="Hi", instructions="Be brief.")
assert (response.output_text, response.status) == ("Hello from Baton.", "completed"), response
assert response.usage.total_tokens == 15, response.usage
asked = [{"role": "user", "content": "How is the weather?"}]
response = client.responses.create(model="balanced", input=asked, tools=FUNCTIONS)
call = response.output[0]
assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "get_weather", {"city": "Madrid"}), call
asked = [{"role": "user", "content": "Look at the sky."}, *response.output]
asked.append({"type": "function_call_output", "call_id": call.call_id, "output": "sunny"})
asked.append({"role": "user", "content": "Thanks"})
assert client.responses.create(model="balanced", input=asked, tools=FUNCTIONS).output_text == "Hello from Baton."
with client.responses.stream(model="balanced", input="Hi") as stream:
    told = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
    assert told == stream.get_final_response().output_text == "Hello from Baton.", told
with client.responses.stream(model="balanced", input="The weather?", tools=FUNCTIONS) as stream:
    assert stream.get_final_response().output[0].name == "get_weather"
response = client.responses.create(model="workflow:clerk", input="I want to come", user="ana")
assert response.output_text == question, response

for key, more, error in [("baton_wrong", {}, openai.AuthenticationError), (api_key, {"n": 2}, openai.BadRequestError)]:
    try:
        client.with_options(api_key=key).chat.completions.create(
            model="balanced", messages=[{"role": "user", "content": "Hi"}], **more
        )
    except error:
        continue
    raise AssertionError(f"{error.__name__} was expected")
print("the Python client is content")

// Calls the gateway as an application in Node would: node call.mjs BASE_URL KEY MODEL plain|stream. Prints one JSON object.
import { createRequire } from "node:module";

const require = createRequire(process.env.TIDEGATE_NODE_MODULES + "/call.js");
const OpenAI = require("openai");

const [baseURL, apiKey, model, how] = process.argv.slice(2);
const client = new OpenAI({ apiKey, baseURL, maxRetries: 0 });
const request = { model, messages: [{ role: "user", content: "写一首七言诗" }] };
const said = { content: "", reasoning: "", finish: null, chunks: 0 };

try {
	if (how === "stream") {
		for await (const chunk of await client.chat.completions.create({ ...request, stream: true })) {
			const choice = chunk.choices[0];
			said.content += choice.delta.content ?? "";
			said.reasoning += choice.delta.reasoning_content ?? "";
			said.finish = choice.finish_reason ?? said.finish;
			said.chunks++;
		}
	} else {
		const choice = (await client.chat.completions.create(request)).choices[0];
		said.content = choice.message.content;
		said.reasoning = choice.message.reasoning_content ?? "";
		said.finish = choice.finish_reason;
	}
	console.log(JSON.stringify(said));
} catch (error) {
	console.log(JSON.stringify({ error: error.constructor.name, status: error.status, code: error.code, message: error.message }));
}

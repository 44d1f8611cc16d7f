// A client whose types are generated from the API's document: it compiles against them, and runs a workflow.
import createClient from "openapi-fetch";
import type { paths } from "./api";

declare const process: { argv: string[] };
const [baseUrl, key] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });

const run = await client.POST("/api/v1/workflows/execute", {
  body: { workflow_id: "greet", input_data: { name: "Ana" }, context: { user_id: "ana" } },
});
if (run.error) throw new Error(run.error.detail);
const status: string = run.data.status;
if (status !== "completed") throw new Error(JSON.stringify(run.data));

const query = { state: "completed", customer_id: "ana", limit: 1 };
const list = await client.GET("/api/v1/executions", { params: { query } });
const found = list.data?.executions.map((head) => head.execution_id);
if (found?.[0] !== run.data.execution_id) throw new Error(JSON.stringify(list));

const none = await client.GET("/api/v1/executions/{execution_id}", { params: { path: { execution_id: "none" } } });
const problem: string | undefined = none.error?.code;
if (problem !== "EXECUTION_NOT_FOUND") throw new Error(JSON.stringify(none));
console.log("the TypeScript client is content");

"""A client that is generated from the API's document: it runs a workflow, and reads what is answered."""

import sys

from baton_client import AuthenticatedClient
from baton_client.api.executions import executions_list, executions_show, workflows_execute
from baton_client.models import Execute, ExecuteContext, ExecuteInputData, Problem

base_url, key = sys.argv[1:3]
client = AuthenticatedClient(base_url=base_url, token=key)

body = Execute(
    workflow_id="greet",
    input_data=ExecuteInputData.from_dict({"name": "Ben"}),
    context=ExecuteContext.from_dict({"user_id": "ben"}),
)
run = workflows_execute.sync(client=client, body=body)
assert run.status == "completed", run

page = executions_list.sync(client=client, state="completed", customer_id="ben", limit=1)
assert [head.execution_id for head in page.executions] == [run.execution_id], page

none = executions_show.sync_detailed("none", client=client)
assert none.status_code == 404 and isinstance(none.parsed, Problem), none
assert none.parsed.code == "EXECUTION_NOT_FOUND", none.parsed
print("the Python client is content")

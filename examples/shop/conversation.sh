#!/bin/sh
# The conversation of seed 004: the AI handles a return, a person is asked for, takes over, gives back, and resolves.
#
#   baton -C examples/shop serve                       # shows a key on its first start
#   URL=http://127.0.0.1:8080 KEY=baton_... examples/shop/conversation.sh
set -eu
: "${URL:?where the server is}" "${KEY:?a key of an operator or an admin}"

post() { # post PATH BODY: what the server answers
    curl --silent --show-error --fail-with-body --header "Authorization: Bearer $KEY" \
        --header "Content-Type: application/json" --data "$2" "$URL/api/v1/conversations$1"
    echo
}
field() { # field NAME: a field of the JSON that is read, text or number
    tr -d '\n' | sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p"
}

begun=$(post "" '{"workflow_id": "customer_support_advanced", "user_id": "cust_789", "channel": "web",
                  "message": "I want to return order #12345"}')
id=$(echo "$begun" | field conversation_id)
echo "conversation $id is $(echo "$begun" | field state)"

asked=$(post "/$id/messages" '{"text": "Can I talk to a person about the refund?"}')
echo "a person is asked for: $(echo "$asked" | field state)"

taken=$(post "/$id/take-over" '{}')
number=$(echo "$taken" | field number)
echo "taken over: $(echo "$taken" | field state), number $number"
post "/$id/posts" "{\"text\": \"Your refund comes within 3 days.\", \"number\": $number}" > /dev/null

back=$(post "/$id/give-back" '{"note": "The refund was confirmed."}')
echo "given back: $(echo "$back" | field state)"
answered=$(post "/$id/messages" '{"text": "When are you open?"}')
echo "the AI answers again: $(echo "$answered" | field state)"

post "/$id/take-over" '{}' > /dev/null
echo "and at the end: $(post "/$id/resolve" '{}' | field state)"

-- Asks the verifier about a request. Sets txn.key_id and its like where the answer is yes, and hands a no
-- of the verifier on as it is. In every other case it does nothing, and haproxy.cfg answers 503.

local VERIFIER = "abns@merchant-api-verifier"
local ASKED = { "authorization", "x-api-key", "x-forwarded-for" }
local GRANTED = { "merchant_id", "key_id", "key_mode", "key_permissions", "request_id" }
local REFUSED = { "content-type", "cache-control", "retry-after", "www-authenticate", "x-request-id" }

-- HAProxy counts the values of a header from 0.
local function values(headers, name)
    local found = {}
    for index = 0, #(headers[name] or {}) do
        found[#found + 1] = headers[name] and headers[name][index]
    end
    return found
end

local function question(txn)
    local sent = txn.http:req_get_headers()
    local headers = {
        ["x-original-method"] = { txn.sf:method() },
        ["x-original-uri"] = { txn.sf:pathq() },
    }
    for _, name in ipairs(ASKED) do
        if sent[name] then
            headers[name] = values(sent, name)
        end
    end
    return headers
end

local function grant(txn, answer)
    for _, name in ipairs(GRANTED) do
        local header = "x-" .. name:gsub("_", "-")
        txn:set_var("txn." .. name, values(answer.headers, header)[1] or "")
    end
end

local function refuse(txn, answer)
    local reply = txn:reply({ status = answer.status, body = answer.body })
    for _, name in ipairs(REFUSED) do
        for _, value in ipairs(values(answer.headers, name)) do
            reply:add_header(name, value)
        end
    end
    txn:done(reply)
end

core.register_action("authorize", { "http-req" }, function(txn)
    local answer = core.httpclient():get({
        url = "http://verifier/v1/authorize",
        dst = VERIFIER,
        headers = question(txn),
    })
    if answer.status == 200 and answer.headers["x-key-id"] then
        grant(txn, answer)
    elseif values(answer.headers or {}, "content-type")[1] == "application/problem+json" then
        refuse(txn, answer)
    end
end)

-- Sends the requests of a file in turn, from its first line again after its last. See loads.py for the file,
-- and wrk.py for who reads the line of figures.

local requests, place = {}, 0

function init(args)
  for line in io.lines(args[1]) do
    local fields = {}
    for field in line:gmatch("[^\t]+") do
      fields[#fields + 1] = field
    end
    fields[2] = fields[1] .. " " .. fields[2] .. " HTTP/1.1\r\nHost: " .. wrk.host
    requests[#requests + 1] = table.concat(fields, "\r\n", 2) .. "\r\n\r\n"
  end
end

function request()
  place = place % #requests + 1
  return requests[place]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'figures: {"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end

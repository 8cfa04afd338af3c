-- Asks one path again and again, `{run}` in it being another run each time; says what it counted.
local threads, number = 0, 0

function setup(thread)
   thread:set("seed", threads)
   threads = threads + 1
end

function init(args)
   before, after = args[1]:match("^(.*){run}(.*)$")
   if not before then
      wrk.path = args[1]
      same = wrk.format()
   end
   number = seed * 500009 + tonumber(args[2])
end

function request()
   if same then return same end
   -- A step without a common divisor with their number: each run once before any comes again.
   number = number + 7919
   wrk.path = before .. (number % 9999) .. after
   return wrk.format()
end

function done(summary, latency, requests)
   local faults = summary.errors
   local failed = faults.connect + faults.read + faults.write + faults.status + faults.timeout
   print(string.format("CDB %d %d %d %.3f %d", summary.requests, summary.duration,
      latency:percentile(50), latency:percentile(99), failed))
end

-- wrk script: writes the same request as many times as the first argument says, in one send, and reads that many answers.
-- Run as: wrk -s pipeline.lua URL -- 16

local batch

init = function(args)
   batch = string.rep(wrk.format(), tonumber(args[1]))
end

request = function()
   return batch
end

-- What slurmctld does with a job before anything else sees it: a job of somebody whose jobs are confined gets
-- nodes of its own, and what such a job cannot have is refused with a sentence.
--
-- Who that is stands in /var/lib/extrausers/confined, which follows from accounts/people.yaml (a group with
-- `confined: true`). It is read for each job, so a change is live at once. This says no to what would be of no
-- use; what runs confined is seen to on the node (images/node/confine), whatever is asked for here.
-- docs/explanation/who-is-kept-from-whom.md

local LIST = "/var/lib/extrausers/confined"
local NO_VALUE_16, NO_VALUE, EXCLUSIVE_TO_USER = 0xfffe, 0xfffffffe, 2
local WHOM_TO_ASK = " Ask your contact here if you need it."

-- Is somebody confined? nil where it cannot be known, which is never taken for no.
local function confined(uid)
  local file = io.open(LIST, "r")
  if not file then return nil end
  local found = false
  for line in file:lines() do
    local number = line:match("^%* %S+ (%d+)$")
    if not number then found = nil break end
    if tonumber(number) == uid then found = true break end
  end
  file:close()
  return found
end

local function refuse(sentence)
  slurm.log_user("%s", sentence)
  return slurm.ERROR
end

local function unknown(uid)
  slurm.log_error("job_submit: %s cannot be read, so nothing of uid %u is taken", LIST, uid)
  return refuse("It cannot be known just now who may run what. Try again in a minute.")
end

-- Does a path lead out of the home, as far as it says so itself? (Links are seen to on the node.)
local function elsewhere(path)
  if path == nil or path == "" or path == "/dev/null" then return false end
  return path:find("..", 1, true) ~= nil or (path:sub(1, 1) == "/" and path:sub(1, 6) ~= "/home/")
end

function slurm_job_submit(job, partitions, submitter)
  local is = confined(job.user_id)
  if is == nil then return unknown(job.user_id) end
  if not is then return slurm.SUCCESS end

  if job.script == nil or job.script == "" then
    return refuse("Your account runs batch jobs alone (sbatch): srun and salloc are not available to it here." .. WHOM_TO_ASK)
  end
  if job.container ~= nil and job.container ~= "" then
    return refuse("Your account's jobs run inside the facility's own image: leave --container out.")
  end
  if job.min_nodes ~= nil and job.min_nodes ~= NO_VALUE and job.min_nodes > 1 then
    return refuse("Your account's jobs have one node each: they do not reach another." .. WHOM_TO_ASK)
  end
  job.max_nodes = 1  -- of a range, like --nodes=1-2
  if job.std_in ~= nil and job.std_in ~= "" and job.std_in ~= "/dev/null" then
    return refuse("Your account's jobs read nothing on standard input: leave --input out, and open the file in the job.")
  end
  if elsewhere(job.std_out) or elsewhere(job.std_err) then
    return refuse("Your account's jobs write to your home alone: --output and --error must name files there.")
  end
  -- Nobody else's processes are on a node where this runs, and nobody else's jobs come to it meanwhile.
  job.shared = EXCLUSIVE_TO_USER
  job.admin_comment = "confined"
  slurm.log_info("confined job of uid %u", job.user_id)
  return slurm.SUCCESS
end

-- `scontrol update`: what was decided above stays.
function slurm_job_modify(job, record, partitions, modifier)
  if modifier == 0 then return slurm.SUCCESS end
  local is = confined(record.user_id)
  if is == nil then return unknown(record.user_id) end
  if not is then return slurm.SUCCESS end
  if job.shared ~= nil and job.shared ~= NO_VALUE_16 and job.shared ~= EXCLUSIVE_TO_USER then
    return refuse("Your account's jobs have nodes of their own: OverSubscribe stays as it is.")
  end
  if job.admin_comment ~= nil or elsewhere(job.std_out) or elsewhere(job.std_err) or
     (job.std_in ~= nil and job.std_in ~= "" and job.std_in ~= "/dev/null") then
    return refuse("This cannot be changed for a job of your account.")
  end
  return slurm.SUCCESS
end

return slurm.SUCCESS

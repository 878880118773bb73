/** The attribute names of the wire contract (asgiscope/semconv.py) that the page computes with. */

export const THREAD_NAME = "thread.name";
export const THREAD_ROLE = "asgiscope.thread.role";
export const ON_EVENT_LOOP = "asgiscope.on_event_loop";
export const CODE_FUNCTION = "code.function.name";
export const CODE_FILE = "code.file.path";
export const CODE_LINE = "code.line.number";
export const HTTP_ROUTE = "http.route";
export const HTTP_METHOD = "http.request.method";
export const HTTP_STATUS = "http.response.status_code";
export const URL_PATH = "url.path";
export const DB_SYSTEM = "db.system.name";

export const FINDING = "asgiscope.finding";
export const FINDING_VICTIMS = "asgiscope.finding.victims";
export const FINDING_VICTIMS_NS = "asgiscope.finding.victims_ns";
export const ONGOING = "asgiscope.ongoing";

export const BRIDGE_FUNCTION = "asgiref.function";
export const EXECUTOR_ROLE = "asgiref.executor";
export const WAIT_NS = "asgiref.wait_ns";
export const RUN_NS = "asgiref.run_ns";
export const RESUME_NS = "asgiref.resume_ns";
export const IDLE_NS = "asgiref.wait_idle_ns";
export const RUN_THREAD_NAME = "asgiref.run.thread.name";
export const CANCELLED = "asgiref.cancelled";
export const MIDDLEWARE = "asgiscope.middleware";

export const LINK = "asgiscope.link";
export const OVERLAP_NS = "asgiscope.overlap_ns";
export const LINK_FUNCTION = "asgiscope.link.function";
export const HELD_BY = "held_by";
export const DELAYED = "delayed";

export const CAUSE = "asgiscope.cause";
export const AWAITED_THREAD_NAME = "asgiscope.awaited.thread.name";
export const AWAITED_SITE = "asgiscope.awaited.code";
export const STARVED_OF = "asgiscope.stall.starved_of";
export const STALL_MEASURED_NS = "asgiscope.stall.measured_ns";
export const STALL_THREAD_CPU_NS = "asgiscope.stall.thread_cpu_ns";
export const STALL_PROCESS_CPU_NS = "asgiscope.stall.process_cpu_ns";
export const STALL_DELAY_NS = "asgiscope.stall.scheduler_delay_ns";
export const BLOCKING_OPERATION = "asgiscope.operation";
export const REFUSED_BY = "asgiscope.refused_by";
export const CHAIN = "asgiscope.chain";

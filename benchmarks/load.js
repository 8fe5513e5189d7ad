// Single rows by name at a constant rate of arrivals; see benchmarks/load.py.
import http from "k6/http";
import { check } from "k6";
import { SharedArray } from "k6/data";

const bodies = new SharedArray("bodies", () => JSON.parse(open(__ENV.BODIES)));
const parameters = { headers: { "Content-Type": "application/json" } };

export const options = {
  scenarios: {
    rows: {
      executor: "constant-arrival-rate",
      rate: Number(__ENV.RATE),
      timeUnit: "1s",
      duration: `${__ENV.SECONDS}s`,
      preAllocatedVUs: 300,
      maxVUs: 500,
    },
  },
  thresholds: {
    http_req_failed: ["rate==0"],
    checks: ["rate==1"],
    dropped_iterations: ["count==0"],
  },
  summaryTrendStats: ["avg", "med", "p(95)", "p(99)", "max"],
};

export default function () {
  const row = bodies[Math.floor(Math.random() * bodies.length)];
  const answer = http.post(__ENV.URL, JSON.stringify(row.body), parameters);
  check(answer, {
    "the number is the model's": (found) => Math.abs(found.json("predictions.0") - row.expected) < 1e-9,
  });
}

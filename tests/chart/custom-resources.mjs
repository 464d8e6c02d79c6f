// Judges custom resources, given as a JSON array on standard input, by models made from the operators' own types. Says on standard output,
// as a JSON array, what is wrong with each (null: nothing).
import { Certificate } from "@kubernetes-models/cert-manager/cert-manager.io/v1";
import { HTTPRoute } from "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1";
import { ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";

const kinds = { Certificate, HTTPRoute, ServiceMonitor };
let text = "";
for await (const part of process.stdin) text += part;

const wrong = (thing) => {
  const kind = kinds[thing.kind];
  if (!kind?.is(thing)) return `${thing.apiVersion} ${thing.kind} is not known`;
  try {
    new kind(thing).validate();
    return null;
  } catch (error) {
    return error.message;
  }
};
console.log(JSON.stringify(JSON.parse(text).map(wrong)));

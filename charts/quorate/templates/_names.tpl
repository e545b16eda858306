{{- /* Of nearly everything. A Service is among it, whose name is a DNS label that begins with a
letter, while helm takes releases with dots and of digits. */ -}}
{{- define "quorate.name" -}}
{{- if not (regexMatch "^[a-z][-a-z0-9]*$" .Release.Name) -}}
{{ fail (printf "the release cannot be called %q: a Service is named after it; begin with a letter, and use letters, digits and dashes" .Release.Name) }}
{{- end -}}
{{- if contains "quorate" .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}-operator
{{- else -}}
{{ printf "%s-quorate" .Release.Name | trunc 40 | trimSuffix "-" }}-operator
{{- end -}}
{{- end -}}

{{- define "quorate.selector" -}}
app.kubernetes.io/name: quorate-operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "quorate.labels" -}}
{{ include "quorate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* Takes the root and more labels; the chart's own win, as selectors go by them. */ -}}
{{- define "quorate.labelsWith" -}}
{{- toYaml (merge (include "quorate.labels" (index . 0) | fromYaml) (index . 1 | default dict)) -}}
{{- end -}}

{{- /* No namespace and no name has a colon: with a dash, "a" of "b-c" would be "a-b" of "c". */ -}}
{{- define "quorate.clusterWideName" -}}
{{ include "quorate.name" . }}:{{ .Release.Namespace }}
{{- end -}}

{{- define "quorate.account" -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) -}}
{{ fail "serviceAccount.create is false: give serviceAccount.name the account that is there" }}
{{- end -}}
{{ .Values.serviceAccount.name | default (include "quorate.name" .) }}
{{- end -}}

{{- define "quorate.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- /* What a cluster of others' making needs to take a pod, be it the operator's or the test's. */ -}}
{{- define "quorate.placement" -}}
{{- $placement := dict -}}
{{- range $key := list "imagePullSecrets" "priorityClassName" "nodeSelector" "tolerations" "affinity" -}}
{{- with get $.Values $key -}}
{{- $_ := set $placement $key . -}}
{{- end -}}
{{- end -}}
{{- with $placement }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{- define "quorate.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "quorate.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

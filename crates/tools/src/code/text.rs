//! The catalogue of messages.

use crate::language::CustomerLanguage;

/// The texts of one error code.
#[derive(Debug)]
pub struct CodeText {
    pub code: &'static str,
    /// Applies only to tools of this category; `None` applies to all others.
    pub category: Option<&'static str>,
    /// Text for the customer.
    pub english: &'static str,
    pub spanish: &'static str,
    /// Text for the operator: what to do about it.
    pub action: &'static str,
}

impl CodeText {
    pub fn customer(&self, language: CustomerLanguage) -> &'static str {
        match language {
            CustomerLanguage::English => self.english,
            CustomerLanguage::Spanish => self.spanish,
        }
    }
}

const fn text(code: &'static str, english: &'static str, spanish: &'static str, action: &'static str) -> CodeText {
    CodeText { code, category: None, english, spanish, action }
}

const fn text_for(category: &'static str, text: CodeText) -> CodeText {
    CodeText { category: Some(category), ..text }
}

/// All texts, sorted by code.
pub const TEXTS: &[CodeText] = &[
    text(
        "ADDRESS_NOT_ALLOWED",
        "We cannot reach that address.",
        "No podemos acceder a esa dirección.",
        "Call a public address, or allow this one under `[tools.outbound] allow`",
    ),
    text(
        "APPROVAL_REQUIRED",
        "A person must approve this first. We will let you know.",
        "Una persona debe aprobarlo antes. Te avisaremos.",
        "Approve or reject the request in the inbox",
    ),
    text(
        "BOOKING_NOT_FOUND",
        "We could not find that appointment.",
        "No encontramos esa cita.",
        "Check the booking id against the audit trail",
    ),
    text(
        "CALCULATION_FAILED",
        "We could not do that calculation.",
        "No pudimos hacer ese cálculo.",
        "Correct the expression; the details say where it fails",
    ),
    text(
        "CALENDAR_NOT_CONFIGURED",
        "We have not set up your calendar yet. Please contact support.",
        "No hemos configurado tu calendario aún. Contacta a soporte.",
        "Configure calendar integration in admin panel",
    ),
    text(
        "CALENDAR_UNAVAILABLE",
        "We could not check availability. Please try again in a few minutes.",
        "No pudimos verificar disponibilidad. Intenta de nuevo en unos minutos.",
        "Check that whoever keeps the calendar answers: its service outside, or the database",
    ),
    text(
        "CIRCUIT_OPEN",
        "We cannot reach the service at the moment. Please try again in a few minutes.",
        "No podemos conectar con el servicio en este momento. Intenta de nuevo en unos minutos.",
        "Check the service's status; the first call after the pause tries it again",
    ),
    text(
        "CODE_CALLS",
        "We could not work that out.",
        "No pudimos resolver eso.",
        "Make fewer calls, or raise `calls` under `[sandbox]`",
    ),
    text(
        "CODE_CRASHED",
        "We could not work that out.",
        "No pudimos resolver eso.",
        "Report the program and these details: the interpreter should not have ended so",
    ),
    text(
        "CODE_DENIED",
        "We could not work that out.",
        "No pudimos resolver eso.",
        "Give the program what it needs as inputs or through a granted tool",
    ),
    text(
        "CODE_DIFFERS",
        "We could not work that out.",
        "No pudimos resolver eso.",
        "Let the agent write the program anew; its past calls stand",
    ),
    text(
        "CODE_INVALID",
        "We could not work that out.",
        "No pudimos resolver eso.",
        "Correct the program; the details say where it is wrong",
    ),
    text(
        "CODE_MEMORY",
        "We could not work that out.",
        "No pudimos resolver eso.",
        "Hold less at once, or raise `memory_mb` under `[sandbox]`",
    ),
    text(
        "CODE_NAMES",
        "We could not work that out.",
        "No pudimos resolver eso.",
        "Rename the input or the tool, or grant only one of the two tools",
    ),
    text(
        "CODE_NOT_AWAITED",
        "We could not work that out.",
        "No pudimos resolver eso.",
        "Write `await` before every call, or before none",
    ),
    text(
        "CODE_OUTPUT",
        "We could not work that out.",
        "No pudimos resolver eso.",
        "Print and return less, or raise `output_bytes` under `[sandbox]`",
    ),
    text(
        "CODE_RAISED",
        "We could not work that out.",
        "No pudimos resolver eso.",
        "Correct the program; the details have its traceback",
    ),
    text(
        "CODE_RECURSION",
        "We could not work that out.",
        "No pudimos resolver eso.",
        "Use a loop where the program calls itself",
    ),
    text(
        "CODE_STATE",
        "We could not work that out.",
        "No pudimos resolver eso.",
        "Hold less in variables when a tool is called",
    ),
    text(
        "CODE_TIMEOUT",
        "We could not work that out.",
        "No pudimos resolver eso.",
        "Do less in the program, or raise `time_seconds` under `[sandbox]`",
    ),
    text(
        "CODE_VALUE",
        "We could not work that out.",
        "No pudimos resolver eso.",
        "Return lists, dicts, texts and numbers",
    ),
    text(
        "CONNECTION_EXPIRED",
        "We lost access to that service and are restoring it. Please try again later.",
        "Perdimos el acceso a ese servicio y lo estamos restableciendo. Intenta más tarde.",
        "Connect the account again with the command that the details name; the desk has an item for it",
    ),
    text(
        "CONNECTION_MISSING",
        "That service is not connected yet. Please contact support.",
        "Ese servicio aún no está conectado. Contacta a soporte.",
        "Connect the account with the command that the details name",
    ),
    text(
        "CONTACT_CHANGED",
        "Your details changed while we were saving them. Please try again.",
        "Tus datos cambiaron mientras los guardábamos. Intenta de nuevo.",
        "Retry; if it repeats, look for another process that writes the same contact",
    ),
    text(
        "DATABASE_NOT_CONFIGURED",
        "We cannot look that up at the moment. Please contact support.",
        "No podemos consultar eso por ahora. Contacta a soporte.",
        "Name the database under `[tools.databases.NAME]` with its `url`",
    ),
    text(
        "DATE_NOT_BOOKABLE",
        "That date cannot be booked. Please choose another.",
        "Esa fecha no se puede reservar. Por favor, elige otra.",
        "Check the date, and `days_ahead_max` and `notice_minutes` of the calendar",
    ),
    text(
        "EXPRESSION_FAILED",
        "We could not process that information.",
        "No pudimos procesar esa información.",
        "Correct the expression; the details say what it met",
    ),
    text(
        "INPUT_REQUIRED",
        "We need to ask you something first.",
        "Antes necesitamos preguntarte algo.",
        "Ask a person by a `human` node with the form in the details, and call the tool with the answer",
    ),
    text(
        "INVALID_PARAMETERS",
        "Invalid parameters",
        "Parámetros no válidos",
        "Correct the named parameters; `baton validate` checks constant ones before a run",
    ),
    text(
        "KEY_REUSED",
        "This request was already made with other details.",
        "Esta solicitud ya se hizo con otros datos.",
        "Send other arguments under another idempotency key",
    ),
    text(
        "MESSAGE_REJECTED",
        "We could not deliver the message. Please check the address.",
        "No pudimos entregar el mensaje. Por favor, verifica la dirección.",
        "Read the service's answer in the details; check recipient, sender and credentials",
    ),
    text(
        "NO_SCRIPTED_RESULT",
        "This service has no answer for that request.",
        "Este servicio no tiene respuesta para esa solicitud.",
        "Add a result that matches these arguments to the tool's script, or one without `when`",
    ),
    text(
        "OUTCOME_UNKNOWN",
        "We are checking whether your request went through. Please do not repeat it.",
        "Estamos verificando si tu solicitud se completó. Por favor, no la repitas.",
        "Look at the service whether the call acted, and decide in the inbox",
    ),
    text(
        "OUTSIDE_HOURS",
        "We are closed at that time. Please choose another.",
        "A esa hora estamos cerrados. Por favor, elige otra.",
        "Check `hours` and `holidays` of the calendar",
    ),
    text(
        "PAYMENT_DECLINED",
        "Sorry, we could not process your payment. Please check your payment method and try again.",
        "Lo siento, no pudimos procesar tu pago. Por favor, verifica tu método de pago e intenta nuevamente.",
        "Ask the customer for another payment method",
    ),
    text(
        "PAYMENT_NOT_FOUND",
        "We could not find that payment.",
        "No encontramos ese pago.",
        "Check the transaction id against the audit trail",
    ),
    text(
        "PROVIDER_CHANGED",
        "This cannot be done the way it was planned. Please contact support.",
        "Esto no se puede hacer como estaba previsto. Contacta a soporte.",
        "Go on with the newest version: `baton runs retry RUN`. Whoever performs the tool now promises less than the version counts on",
    ),
    text(
        "QUERY_FAILED",
        "We could not look that up.",
        "No pudimos consultar eso.",
        "Correct the query; the details say what the database made of it",
    ),
    text(
        "QUERY_REFUSED",
        "We could not look that up.",
        "No pudimos consultar eso.",
        "Ask with one SELECT that only reads; the details say what else it does",
    ),
    text(
        "RATE_LIMIT_EXCEEDED",
        "Rate limit exceeded. Please try again later.",
        "Límite de uso excedido. Intenta en un momento.",
        "Wait, or raise the limit with the service",
    ),
    text(
        "REFUND_TOO_LARGE",
        "That is more than was paid.",
        "Es más de lo que se pagó.",
        "Refund at most what is left of the charge",
    ),
    text(
        "RESPONSE_TOO_LARGE",
        "The answer was too large for us to read.",
        "La respuesta fue demasiado grande para leerla.",
        "Ask the service for less, or raise `outbound.response_bytes_max`",
    ),
    text(
        "SANDBOX_BUSY",
        "It is busy at the moment. Please try again in a little while.",
        "Hay mucha actividad en este momento. Intenta de nuevo en un rato.",
        "Raise `children`, `waiting` or `wait_ms` under `[sandbox]`",
    ),
    text(
        "SANDBOX_KILLED",
        "It took an unexpected turn. Please try again.",
        "Ocurrió algo inesperado. Intenta de nuevo.",
        "See whether the machine is short of memory, or who ended the process",
    ),
    text(
        "SANDBOX_UNAVAILABLE",
        "We cannot do that at the moment. Please try again later.",
        "No podemos hacerlo en este momento. Intenta más tarde.",
        "`baton doctor` says what is missing",
    ),
    text(
        "SERVICE_DENIED",
        "The service did not accept the request.",
        "El servicio no aceptó la solicitud.",
        "Correct the credentials, then resolve or retry the call: what an earlier attempt did is not known",
    ),
    text(
        "SERVICE_NOT_CONFIGURED",
        "We have not set this up yet. Please contact support.",
        "Aún no hemos configurado esto. Contacta a soporte.",
        "Set what the details name, in `baton.toml` or as a variable; `baton doctor` lists what is missing",
    ),
    text(
        "SERVICE_REJECTED",
        "The service did not accept the request.",
        "El servicio no aceptó la solicitud.",
        "Read the service's answer in the details and correct the arguments or the credentials",
    ),
    text(
        "SERVICE_UNAVAILABLE",
        "We could not reach the service. Please try again later.",
        "No pudimos conectar con el servicio. Intenta más tarde.",
        "Check the service's status and its address",
    ),
    text_for(
        "calendar",
        text(
            "SERVICE_UNAVAILABLE",
            "We could not reach the calendar. Please try again later.",
            "No pudimos conectar con el calendario. Intenta más tarde.",
            "Check Google Calendar API status",
        ),
    ),
    text(
        "SLOT_TAKEN",
        "That time is no longer free. Please choose another.",
        "Ese horario ya no está disponible. Por favor, elige otro.",
        "Offer the customer another of the free slots",
    ),
    text(
        "SNAPSHOT_REFUSED",
        "We could not work that out.",
        "No pudimos resolver eso.",
        "Find out who altered the journal; let the agent write the program anew",
    ),
    text(
        "STORAGE_UNAVAILABLE",
        "We could not save that. Please try again in a few minutes.",
        "No pudimos guardar los datos. Intenta de nuevo en unos minutos.",
        "Check that the database can be read and written; `baton doctor` tells",
    ),
    text(
        "TICKET_NOT_FOUND",
        "We could not find that ticket.",
        "No encontramos ese ticket.",
        "Check the ticket id against the audit trail",
    ),
    text(
        "TIMEOUT",
        "It is taking longer than expected. Please try again later.",
        "Está tardando más de lo esperado. Intenta más tarde.",
        "Check the service's latency, or raise the tool's `timeout_ms`",
    ),
    text(
        "TOOL_NOT_ALLOWED",
        "That is not available here.",
        "Esa función no está disponible aquí.",
        "Enable the tool for this tenant in the tools settings",
    ),
    text(
        "TOOL_NOT_FOUND",
        "That is not available here.",
        "Esa función no está disponible aquí.",
        "Correct the tool's name, or define it in `tools/`",
    ),
    text(
        "WEB_SEARCH_NOT_CONFIGURED",
        "We cannot search the web at the moment.",
        "No podemos buscar en la web por ahora.",
        "Set `url` under `[tools.web_search]` to a SearXNG instance",
    ),
];
